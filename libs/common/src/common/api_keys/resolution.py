"""Whose key it is: identity's answer, kept for five seconds and dropped when the key is revoked.

Without an answer in time the request is refused (503): a key that may have been revoked opens nothing.
"""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar

from msgspec import Struct

from commdesk.identity.v1 import identity_pb2 as pb
from commdesk.identity.v1.identity_pb2_grpc import IdentityServiceStub
from common import grpc_client
from common.api_keys.credentials import Presented
from common.api_keys.guesses import ApiKeyGuessesThrottled, Guesses
from common.api_keys.texts import ApiKeyInvalid, KeyText, Kind
from common.batching import NO_WINDOW, Batcher
from common.errors import DomainError, PermissionDenied
from common.permissions import TABLE
from common.tokens import Caller

__all__ = ["ApiKeyGuessesThrottled", "ApiKeyNetworkNotAllowed", "ApiKeyOriginNotAllowed", "ApiKeys", "ResolvedKey"]

# How long an answer of identity is believed. A revocation is announced and takes milliseconds; when the announcement is
# lost, the key is refused everywhere after this time.
KEPT_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 1.0
KEYS_KEPT_MAX: Final = 10_000

K = TypeVar("K")


class ApiKeyOriginNotAllowed(PermissionDenied):
    """A publishable key is bound to the origins of its merchant's pages, and the request comes from another."""

    fix = "Add the page's origin (scheme, host and port) to the key's `origins`; from a server, use a secret key."


class ApiKeyNetworkNotAllowed(PermissionDenied):
    """The key is bound to networks, and the request comes from an address outside them."""

    fix = "Add the server's public address to the key's `networks`, or remove the list."


class ResolvedKey(Struct, frozen=True):
    """A valid key, and who calls with it."""

    caller: Caller
    kind: Kind
    origins: frozenset[str]
    networks: tuple[str, ...]
    api_version: str
    # Infinity when it does not expire.
    expires_at_seconds: float

    def check_place(self, origin: str, address: str) -> None:
        """Raises ApiKeyOriginNotAllowed, ApiKeyNetworkNotAllowed. *origin* is "" when no page sent the request."""
        if self.kind == "publishable" and origin not in self.origins:
            raise ApiKeyOriginNotAllowed("the key is not for this origin")
        if self.networks and not _is_among(address, self.networks):
            raise ApiKeyNetworkNotAllowed("the key is not for this address")


class _Kept(Generic[K]):
    """Values by digest, each until its moment; the least recently made are forgotten."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._items: OrderedDict[bytes, tuple[float, K]] = OrderedDict()

    def get(self, digest: bytes) -> K | None:
        item = self._items.get(digest)
        if item is None:
            return None
        if item[0] <= self._monotonic():
            del self._items[digest]
            return None
        return item[1]

    def put(self, digest: bytes, until: float, value: K) -> None:
        self._items.pop(digest, None)
        self._items[digest] = (until, value)
        if len(self._items) > KEYS_KEPT_MAX:
            self._items.popitem(last=False)

    def drop(self, matches: Callable[[K], bool]) -> None:
        for digest in [digest for digest, (_, value) in self._items.items() if matches(value)]:
            del self._items[digest]


class ApiKeys:
    """Authenticates requests by the keys that they carry; asks *stub* for those that it does not know."""

    def __init__(self, stub: IdentityServiceStub, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._stub = stub
        self._monotonic = monotonic
        self._known: _Kept[ResolvedKey] = _Kept(monotonic)
        # Apart, so that invented keys push out none that are used.
        self._unknown: _Kept[bool] = _Kept(monotonic)
        self._guesses = Guesses(monotonic=monotonic)
        self._drops = 0
        self.lookups: Batcher[bytes, ResolvedKey | None] = Batcher(
            self._resolve, name="resolve_api_keys", window=NO_WINDOW
        )

    async def resolve(self, presented: Presented, address: str) -> ResolvedKey:
        """The valid key that a request from *address* carries.

        Raises ApiKeyInvalid, ApiKeyGuessesThrottled; CalleeUnavailable when identity does not answer.
        """
        resolved = await self._find(presented.key, address)
        if presented.key_id and presented.key_id != resolved.caller.api_key_id:
            raise self._invalid(address)
        if presented.publishable is not None:
            publishable = await self._find(presented.publishable, address)
            if publishable.caller.merchant_id != resolved.caller.merchant_id:
                raise self._invalid(address)
        return resolved

    def drop(self, api_key_ids: Collection[str]) -> None:
        """Forget what is known of these keys: they were revoked or changed."""
        self._drops += 1
        self._known.drop(lambda resolved: resolved.caller.api_key_id in api_key_ids)

    async def _find(self, key: KeyText, address: str) -> ResolvedKey:
        resolved = self._known.get(key.digest)
        if resolved is None:
            self._guesses.check(address)
            if self._unknown.get(key.digest):
                raise self._invalid(address)
            started, drops = self._monotonic(), self._drops
            resolved = await self.lookups.submit(key.digest, key=key.digest)
            if resolved is None:
                self._unknown.put(key.digest, started + KEPT_SECONDS, True)
                raise self._invalid(address)
            if drops == self._drops:
                # Otherwise the answer may be older than the revocation that came meanwhile.
                self._known.put(key.digest, started + KEPT_SECONDS, resolved)
        if resolved.expires_at_seconds <= time.time():
            raise self._invalid(address)
        return resolved

    def _invalid(self, address: str) -> ApiKeyInvalid:
        """The refusal of a key that is none, which counts as a guess."""
        self._guesses.failed(address)
        return ApiKeyInvalid("the API key is not valid")

    async def _resolve(self, digests: list[bytes]) -> Sequence[ResolvedKey | DomainError | None]:
        with grpc_client.verdicts():
            response = await self._stub.ResolveApiKeys(
                pb.ResolveApiKeysRequest(digests=digests), timeout=TIMEOUT_SECONDS
            )
        return [_resolved(result.api_key) if result.HasField("api_key") else None for result in response.results]


def _resolved(key: pb.ApiKey) -> ResolvedKey:
    """What the key may do is what its kind may by this process's table, and no more than what it is restricted to."""
    permissions = TABLE.of_key_kind(key.kind)
    if key.is_restricted:
        permissions &= frozenset(key.permissions)
    return ResolvedKey(
        Caller(user_id="", merchant_id=key.merchant_id, permissions=permissions, api_key_id=key.api_key_id),
        "publishable" if key.kind == "publishable" else "secret",
        frozenset(key.origins),
        tuple(key.networks),
        key.api_version,
        key.expires_unix_micros / 1e6 if key.expires_unix_micros else float("inf"),
    )


@lru_cache(maxsize=4_096)
def _is_among(address: str, networks: tuple[str, ...]) -> bool:
    """Whether *address* lies in one of *networks*. An IPv4 address written as IPv6 is the IPv4 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in ipaddress.ip_network(network) for network in networks)
