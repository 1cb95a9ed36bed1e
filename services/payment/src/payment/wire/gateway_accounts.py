"""Gateway accounts in JSON and over gRPC; no view has a secret."""

from collections.abc import Mapping, Sequence
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from commdesk.payment.v1 import payment_pb2, routing_pb2
from common import contacts, ids
from common.errors import RequestInvalid, require_at_most
from common.events import micros
from common.http_server import Body
from common.times import rfc3339
from common.tokens import Caller
from gateways import REQUESTABLE_METHODS
from payment.domain.gateway_accounts import PREFIX, PRIORITY_DEFAULT, MerchantAccount
from payment.use_cases.gateway_accounts import NewAccount, webhook_path
from payment.wire.review_messages import Actor

ACCOUNTS_MAX = 500
_NIL = UUID(int=0)
S = TypeVar("S", bound=msgspec.Struct)
_VISIBLE = r"^[!-~]+\Z"

KeyId = Annotated[str, Meta(min_length=3, max_length=100, pattern=_VISIBLE)]
Secret = Annotated[str, Meta(min_length=8, max_length=200, pattern=_VISIBLE, description="Stored sealed, never shown.")]
Phone = Annotated[str, Meta(max_length=20, description="The merchant's own, for customers who have none.")]
Method = Annotated[str, Meta(pattern=rf"^({'|'.join(sorted(REQUESTABLE_METHODS))})\Z")]
Methods = Annotated[list[Method], Meta(max_length=len(REQUESTABLE_METHODS), description="None stands for all.")]
Priority = Annotated[int, Meta(ge=0, le=1000, description="Lower is tried first.")]
Minor = Annotated[int, Meta(ge=0, le=10**12, description="Minor units, such as paise.")]
MerchantId = Annotated[str, Meta(pattern=r"^mer_[0-9A-Za-z_]{1,60}\Z")]


class GatewayAccountBody(Body, frozen=True):
    """POST /gateway-accounts. Its mode, live or test, is that of the key."""

    gateway: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{1,31}\Z")]
    key_id: KeyId
    key_secret: Secret
    webhook_secret: Secret | None = None
    contact_phone: Phone = ""
    methods: Methods = msgspec.field(default_factory=list)
    priority: Priority = PRIORITY_DEFAULT
    amount_min: Minor = 0
    amount_max: Minor | None = None


class WebhookSecretBody(Body, frozen=True):
    """The secret that the gateway signs with from now on; the one before verifies for another day."""

    webhook_secret: Secret


class GatewayAccountView(msgspec.Struct, frozen=True, rename="camel"):
    """A merchant's own account at a gateway, without its secrets."""

    gateway_account_id: str
    gateway: str
    mode: str
    key_id: str
    methods: list[str]
    priority: int
    amount_min: int
    amount_max: int | None
    status: str
    # Where the gateway sends the account's webhooks.
    webhook_path: str
    created_at: str
    updated_at: str


class GatewayAccountsView(msgspec.Struct, frozen=True):
    items: list[GatewayAccountView]


class _OperatorsAccount(msgspec.Struct, frozen=True):
    """The same rules as of a body."""

    merchant_id: MerchantId
    gateway: str
    key_id: KeyId
    key_secret: Secret
    webhook_secret: Secret | None
    methods: Methods
    priority: Priority
    amount_min: Minor
    amount_max: Minor | None
    actor: Actor


class _OperatorsSecret(msgspec.Struct, frozen=True):
    webhook_secret: Secret
    actor: Actor


class _OperatorsAct(msgspec.Struct, frozen=True):
    actor: Actor


def new_account(body: GatewayAccountBody, caller: Caller) -> NewAccount:
    return NewAccount(
        merchant_id=caller.merchant_id,
        actor_id=caller.actor_id,
        gateway=body.gateway,
        key_id=body.key_id,
        key_secret=body.key_secret,
        webhook_secret=body.webhook_secret or "",
        contact_phone=_phone(body.contact_phone),
        methods=tuple(body.methods),
        priority=body.priority,
        amount_min_minor=body.amount_min,
        amount_max_minor=body.amount_max,
    )


def view(account: MerchantAccount) -> GatewayAccountView:
    return GatewayAccountView(
        account.account_id,
        account.gateway,
        account.mode,
        account.key_id,
        list(account.methods),
        account.priority,
        account.amount_min_minor,
        account.amount_max_minor,
        account.status.value,
        webhook_path(account),
        rfc3339(account.created_at),
        rfc3339(account.updated_at),
    )


def views(accounts: Sequence[MerchantAccount]) -> GatewayAccountsView:
    return GatewayAccountsView([view(account) for account in accounts])


# ── gRPC ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def operators_account(request: routing_pb2.CreateAccountRequest) -> NewAccount:
    """Raises RequestInvalid."""
    fields = {
        "merchant_id": request.merchant_id,
        "gateway": request.gateway,
        "key_id": request.key_id,
        "key_secret": request.key_secret,
        "webhook_secret": request.webhook_secret or None,
        "methods": list(request.methods),
        "priority": request.priority or PRIORITY_DEFAULT,
        "amount_min": request.amount_min,
        "amount_max": request.amount_max or None,
        "actor": request.actor,
    }
    account = _converted(fields, _OperatorsAccount)
    return NewAccount(
        merchant_id=account.merchant_id,
        actor_id=account.actor,
        gateway=account.gateway,
        key_id=account.key_id,
        key_secret=account.key_secret,
        webhook_secret=account.webhook_secret or "",
        contact_phone=_phone(request.contact_phone),
        methods=tuple(account.methods),
        priority=account.priority,
        amount_min_minor=account.amount_min,
        amount_max_minor=account.amount_max,
    )


def checked_secret(request: routing_pb2.RotateWebhookSecretRequest) -> str:
    """Raises RequestInvalid."""
    return _converted(
        {"webhook_secret": request.webhook_secret, "actor": request.actor}, _OperatorsSecret
    ).webhook_secret


def checked_actor(actor: str) -> str:
    """Raises RequestInvalid."""
    return _converted({"actor": actor}, _OperatorsAct).actor


def decoded(account_id: str) -> UUID:
    """Raises IdInvalid; the platform's own accounts have no such ids."""
    return ids.decode(PREFIX, account_id)


def message(account: MerchantAccount) -> routing_pb2.Account:
    return routing_pb2.Account(
        gateway_account_id=account.account_id,
        merchant_id=account.merchant_id,
        gateway=account.gateway,
        mode=account.mode,
        key_id=account.key_id,
        methods=account.methods,
        priority=account.priority,
        amount_min=account.amount_min_minor,
        amount_max=account.amount_max_minor or 0,
        status=account.status.value,
        webhook_path=webhook_path(account),
        created_unix_micros=micros(account.created_at),
        updated_unix_micros=micros(account.updated_at),
    )


def page_of(request: payment_pb2.ListGatewayAccountsRequest) -> tuple[UUID, int]:
    """After which account, and how many. Raises LimitExceeded, IdInvalid."""
    require_at_most(ACCOUNTS_MAX, limit=request.limit)
    return ids.decode(PREFIX, request.after_id) if request.after_id else _NIL, request.limit or ACCOUNTS_MAX


def webhook_accounts(
    accounts: Sequence[MerchantAccount], secrets: Sequence[Sequence[str]]
) -> payment_pb2.ListGatewayAccountsResponse:
    return payment_pb2.ListGatewayAccountsResponse(
        accounts=[
            payment_pb2.WebhookAccount(
                gateway_account_id=account.account_id,
                merchant_id=account.merchant_id,
                gateway=account.gateway,
                webhook_secrets=theirs,
            )
            for account, theirs in zip(accounts, secrets, strict=True)
        ]
    )


def _phone(text: str) -> str:
    """Raises RequestInvalid."""
    return contacts.phone_number(text) if text else ""


def _converted(fields: Mapping[str, object], kind: type[S]) -> S:
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise RequestInvalid(str(error)) from None
