"""What payment holds of persons."""

from datetime import timedelta

from common.database import Tx
from common.personal_data import Person, PersonalData, PersonalTable, Retention
from common.seals import DEVICE, EMAIL, IP, NAME, PHONE, USER_AGENT

ORDERS_MAX = 10_000

_OF_USER = "user_id = :user"
_ORIGIN = {"ip": IP, "device_id": DEVICE, "user_agent": USER_AGENT}
_CUSTOMER = {"customer_email": EMAIL, "customer_phone": PHONE, "customer_name": NAME}
_ERASED = dict.fromkeys((*_CUSTOMER, *_ORIGIN), "''")


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
            "payment_method", "created_at", "paid_at",
        ),
        # The fingerprint is a hash over the request, customer included.
        erased=_ERASED | {"description": "''", "metadata": "'{}'", "request_fingerprint": "''"},
        retention=Retention(origin_keep, dict.fromkeys(_ORIGIN, "''")),
    )  # fmt: skip
    invoices = PersonalTable(
        name="invoices",
        key="id",
        of_person=_OF_USER,
        shown=("invoice_number", "amount_minor", "currency", "place_of_supply", "issued_at"),
    )
    return PersonalData(tables=(payments, invoices), resolve=resolve)
