"""API keys in protobuf: for services that authenticate with them, and for operators."""

from datetime import datetime
from uuid import UUID

from commdesk.identity.v1 import identity_pb2 as pb
from common import context, grpc_client, ids
from common.api_keys import Kind
from common.errors import DomainError, RequestInvalid, require_at_most
from common.events import from_micros, micros
from common.texts import storable
from common.times import TimeOutOfRange
from identity.domain.api_keys import ApiKey, IssuedKey, KeyRevocation, Limits, NewKey
from identity.wire.events import API_KEY
from identity.wire.requests import REASON_LENGTH_MAX

# Of one call of an operator.
KEYS_MAX = 100
MERCHANT_ID_LENGTH_MAX = 64


def new_keys(request: pb.IssueApiKeysRequest) -> list[NewKey]:
    """Raises LimitExceeded, RequestInvalid."""
    require_at_most(KEYS_MAX, keys=len(request.keys))
    actor = _required("actor", request.actor)
    origin = context.current()
    return [
        NewKey(
            merchant_id(message.merchant_id),
            _kind(message.kind),
            message.name,
            Limits(
                frozenset(message.permissions) or None,
                tuple(message.origins),
                tuple(message.networks),
                _moment(message.expires_unix_micros),
            ),
            actor,
            origin,
        )
        for message in request.keys
    ]


def revocations(request: pb.RevokeApiKeysRequest) -> list[KeyRevocation]:
    """Raises LimitExceeded, RequestInvalid, IdInvalid."""
    require_at_most(KEYS_MAX, api_key_ids=len(request.api_key_ids))
    actor, reason = _required("actor", request.actor), _required("reason", request.reason)
    origin = context.current()
    return [KeyRevocation("", ids.decode(API_KEY, text), reason, actor, origin) for text in request.api_key_ids]


def merchant_id(text: str) -> str:
    """As it may be looked up."""
    return storable(text, MERCHANT_ID_LENGTH_MAX)


def before(request: pb.ListApiKeysRequest) -> UUID | None:
    """Raises IdInvalid."""
    return ids.decode(API_KEY, request.before_id) if request.before_id else None


def resolved(key: ApiKey | None) -> pb.ResolvedApiKey:
    return pb.ResolvedApiKey() if key is None else pb.ResolvedApiKey(api_key=_key(key))


def issued(result: IssuedKey | DomainError, now: datetime) -> pb.IssuedApiKey:
    if isinstance(result, DomainError):
        return pb.IssuedApiKey(error=grpc_client.error_message(result))
    return pb.IssuedApiKey(text=result.text, key=listed(result.key, now))


def revoked(result: ApiKey | DomainError, now: datetime) -> pb.RevokedApiKey:
    if isinstance(result, DomainError):
        return pb.RevokedApiKey(error=grpc_client.error_message(result))
    return pb.RevokedApiKey(key=listed(result, now))


def listed(key: ApiKey, now: datetime) -> pb.ListedApiKey:
    return pb.ListedApiKey(
        key=_key(key),
        name=key.name,
        prefix=key.prefix,
        last_four=key.last_four,
        status=key.status(now),
        created_by=key.created_by,
        created_unix_micros=micros(key.created_at),
        last_used_unix_micros=0 if key.last_used_at is None else micros(key.last_used_at),
    )


def _key(key: ApiKey) -> pb.ApiKey:
    limits = key.limits
    return pb.ApiKey(
        api_key_id=ids.encode(API_KEY, key.api_key_id),
        merchant_id=key.merchant_id,
        kind=key.kind,
        is_restricted=limits.permissions is not None,
        permissions=sorted(limits.permissions or ()),
        origins=limits.origins,
        networks=limits.networks,
        api_version=key.api_version,
        expires_unix_micros=0 if limits.expires_at is None else micros(limits.expires_at),
    )


def _kind(text: str) -> Kind:
    match text:
        case "publishable":
            return "publishable"
        case "secret":
            return "secret"
    raise RequestInvalid("some fields are wrong", kind="is publishable or secret")


def _required(name: str, text: str) -> str:
    text = storable(text.strip(), REASON_LENGTH_MAX)
    if not text:
        raise RequestInvalid("some fields are missing", **{name: "is required"})
    return text


def _moment(unix_micros: int) -> datetime | None:
    try:
        return from_micros(unix_micros) if unix_micros else None
    except TimeOutOfRange:
        raise RequestInvalid("no such time", expires_unix_micros="is out of range") from None
