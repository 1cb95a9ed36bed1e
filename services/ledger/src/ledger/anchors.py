"""The anchor: heads of the chain outside the database, where somebody who rebuilds the chain cannot rewrite them.

One object for each block, whose name says its height and its head; objects are made and never replaced. A folder or an
S3-compatible bucket. Its address is the operator's own setting, so it may lead anywhere.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec
from loguru import logger
from msgspec import Struct
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from common.errors import Unavailable
from common.events import micros
from ledger.domain.blocks import Anchored, Block

# Objects of one prefix: so many heights are listed at once.
GROUP_HEIGHTS: Final = 1_000
TIMEOUT: Final = "10s"


class AnchorAccess(Struct, frozen=True):
    """What an S3-compatible store asks for; empty values are left to its own defaults."""

    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""


class AnchorUrlInvalid(ValueError):
    """The address is neither s3://bucket/prefix nor file:///folder of a folder that can be made."""


class AnchorUnreachable(Unavailable):
    """The store with the heads of the chain cannot be read now."""

    fix = "Check LEDGER_ANCHOR_URL and its access, then verify again."


@contextmanager
def anchor_reachable() -> Iterator[None]:
    """What a store raises within, as AnchorUnreachable."""
    try:
        yield
    except (BaseError, OSError) as error:
        logger.error("the anchor cannot be read: {}", type(error).__name__)
        raise AnchorUnreachable("the anchor cannot be read") from error


class Anchor:
    """Heads in one store. Its calls block, so each runs in a thread."""

    def __init__(self, url: str, access: AnchorAccess | None = None) -> None:
        """Raises AnchorUrlInvalid."""
        self.url = url
        self._store = _store(url, access or AnchorAccess())

    async def put(self, block: Block, public_key: str) -> bool:
        """Write the head of *block*; False when it is there already. Raises what the store raises."""
        return await asyncio.to_thread(self._put, block, public_key)

    async def heads(self, cluster: str, first: int, last: int) -> list[Anchored]:
        """The heads of the heights *first* to *last* that are there. Raises what the store raises."""
        return await asyncio.to_thread(lambda: list(self._heads(cluster, first, last)))

    async def last_heights(self) -> dict[str, int]:
        """The greatest height that is there, by cluster."""
        return await asyncio.to_thread(self._last_heights)

    def _put(self, block: Block, public_key: str) -> bool:
        try:
            self._store.put(_name(block), msgspec.json.encode(_Head.of(block, public_key)), mode="create")
        except AlreadyExistsError:
            return False
        return True

    def _heads(self, cluster: str, first: int, last: int) -> Iterator[Anchored]:
        for group in range(first // GROUP_HEIGHTS, last // GROUP_HEIGHTS + 1):
            for anchored in self._group(f"{cluster}/{group:012}"):
                if first <= anchored.height <= last:
                    yield anchored

    def _group(self, prefix: str) -> Iterator[Anchored]:
        for page in self._store.list(prefix):
            for each in page:
                height, _, head = each["path"].rpartition("/")[2].removesuffix(".json").partition("-")
                yield Anchored(int(height), bytes.fromhex(head))

    def _last_heights(self) -> dict[str, int]:
        last = {}
        for cluster in self._store.list_with_delimiter()["common_prefixes"]:
            groups = self._store.list_with_delimiter(cluster)["common_prefixes"]
            if groups:
                last[cluster.strip("/")] = max(each.height for each in self._group(max(groups)))
        return last


class _Head(Struct, frozen=True, rename="camel"):
    """What an object holds: the head with what it takes to check its signature."""

    cluster: str
    epoch: int
    height: int
    head: str
    previous: str
    journals: int
    entries: int
    audit_entries: int
    sealed_unix_micros: int
    signature: str
    key_id: str
    public_key: str

    @classmethod
    def of(cls, block: Block, public_key: str) -> "_Head":
        contents = block.contents
        return cls(
            block.cluster,
            block.range.epoch,
            block.height,
            block.head.hex(),
            block.previous.hex(),
            contents.journals,
            contents.entries,
            contents.audit_entries,
            micros(block.sealed_at),
            block.signature.hex(),
            block.key_id,
            public_key,
        )


def _name(block: Block) -> str:
    return f"{block.cluster}/{block.height // GROUP_HEIGHTS:012}/{block.height:015}-{block.head.hex()}.json"


def _store(url: str, access: AnchorAccess) -> LocalStore | S3Store:
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        try:
            return LocalStore(unquote(parts.path), mkdir=True)
        except OSError as error:
            raise AnchorUrlInvalid(f"LEDGER_ANCHOR_URL: the folder cannot be made: {error}") from error
    if parts.scheme != "s3" or not parts.netloc or parts.username or parts.query:
        raise AnchorUrlInvalid("the anchor is file:///folder or s3://bucket/prefix")
    given = {
        "endpoint": access.endpoint,
        "region": access.region,
        "access_key_id": access.access_key_id,
        "secret_access_key": access.secret_access_key,
    }
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={"timeout": TIMEOUT, "allow_http": access.endpoint.startswith("http://")},
        retry_config={"max_retries": 2},
        **{name: value for name, value in given.items() if value},  # type: ignore[arg-type]
    )
