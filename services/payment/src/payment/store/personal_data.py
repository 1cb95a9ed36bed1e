"""What payment holds of persons."""

from datetime import timedelta

from common.database import Tx
from common.personal_data import Person, PersonalData, PersonalTable, Retention
from common.seals import DEVICE, EMAIL, IP, NAME, PHONE, USER_AGENT
from payment.domain.gateway_accounts import KEY_SECRET, WEBHOOK_SECRET

ORDERS_MAX = 10_000

_OF_USER = "user_id = :user"
_ORIGIN = {"ip": IP, "device_id": DEVICE, "user_agent": USER_AGENT}
_CUSTOMER = {"customer_email": EMAIL, "customer_phone": PHONE, "customer_name": NAME}
_ERASED = dict.fromkeys((*_CUSTOMER, *_ORIGIN), "''")
# What callers wrote, which may be about the customer; the fingerprint is a hash over it.
_ERASED_TEXTS = {
    "description": "''",
    "metadata": "'{}'",
    "return_url": "''",
    "idempotency_key": "''",
    "request_fingerprint": "''",
}


async def resolve(tx: Tx, person: Person) -> Person:
    """The orders of a user's payments, by which webhook-ingest finds what it holds."""
    if not person.user_id:
        return person
    rows = await tx.execute(
        "select order_id from payments where user_id = :user order by id desc limit :limit",
        user=person.user_id,
        limit=ORDERS_MAX,
    )
    return Person(person.user_id, person.email, tuple(sorted({*person.orders, *rows.scalars()})))


def personal_data(origin_keep: timedelta) -> PersonalData:
    """*origin_keep*: how long address, device and agent of a payment are of use, to fraud rules and disputes.

    A payment and its invoice stay: the law wants eight years of them. Whom they are about, they say by user id.
    """
    payments = PersonalTable(
        name="payments",
        key="id",
        sealed=_CUSTOMER | _ORIGIN,
        of_person=_OF_USER,
        shown=(
            "order_id", "status", "amount_minor", "currency", "place_of_supply", "description", "metadata",
            "return_url", "idempotency_key", "payment_method", "created_at", "paid_at",
        ),
        erased=_ERASED | _ERASED_TEXTS,
        retention=Retention(origin_keep, dict.fromkeys(_ORIGIN, "''")),
    )  # fmt: skip
    invoices = PersonalTable(
        name="invoices",
        key="id",
        of_person=_OF_USER,
        shown=("invoice_number", "amount_minor", "currency", "place_of_supply", "issued_at"),
    )
    # With the stored answers; by the payment that a key is about, which is one of the person's.
    keys = PersonalTable(name="idempotency_keys", key="subject", of_person=_OF_USER, deleted=True, is_exported=False)
    # Of no person; sealed anew with the rest when a key is rotated.
    accounts = PersonalTable(
        name="gateway_accounts",
        key="id",
        sealed={
            "key_secret": KEY_SECRET,
            "webhook_secret": WEBHOOK_SECRET,
            "webhook_secret_before": WEBHOOK_SECRET,
            "contact_phone": PHONE,
        },
        is_exported=False,
    )
    return PersonalData(tables=(payments, invoices, keys, accounts), resolve=resolve)
