"""Razorpay, put together: the API under /razorpay/v1, the hosted page, and control."""

from random import Random

from starlette.routing import Mount

from sandbox.control import SharedControl
from sandbox.delivery import Sender
from sandbox.dispatch import Dispatch
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.idempotency import Idempotency
from sandbox.outcomes import OutcomeDraw
from sandbox.quotas import Quotas
from sandbox.razorpay import errors
from sandbox.razorpay.accounts import Account, Accounts
from sandbox.razorpay.afterwards import Afterwards
from sandbox.razorpay.announcer import Announcer
from sandbox.razorpay.api import Api
from sandbox.razorpay.checkout import EMBEDDED, Checkout
from sandbox.razorpay.control import Control
from sandbox.razorpay.disputes import Disputes
from sandbox.razorpay.money_control import MoneyControl
from sandbox.razorpay.operations import Operations
from sandbox.razorpay.order_registry import OrderRegistry
from sandbox.razorpay.outcomes import MAGIC_HANDLES
from sandbox.razorpay.refunds import Refunds
from sandbox.razorpay.settlements import Settlements
from sandbox.razorpay.simulator import Simulator
from sandbox.settings import Settings
from sandbox.settling import Fees
from sandbox.timers import Timers


def gateway(settings: Settings, random: Random) -> Gateway:
    """Razorpay with the account of the settings, and those that control adds."""
    faults, timers = Faults(random), Timers()
    sender = Sender(
        connections=settings.webhook_connections,
        timeout_seconds=settings.razorpay_webhook_timeout_ms / 1000,
        retry_seconds=settings.retry_seconds,
        pending_max=settings.webhook_pending_max,
        log_max=settings.webhook_log_max,
        accepted=range(200, 300),
    )
    accounts = Accounts([_account(settings)])
    announcer = Announcer(accounts, Dispatch(sender, random), faults)
    orders, draw = OrderRegistry(settings.orders_max, faults.forget), OutcomeDraw(settings, random, MAGIC_HANDLES)
    fees = Fees(settings.fee_basis_points, settings.fee_tax_basis_points)
    refunds, disputes = Refunds(orders, draw, announcer, timers), Disputes(orders, announcer)
    simulator = Simulator(orders, draw, announcer, timers, refunds, fees)
    settlements = Settlements(orders, announcer, fees)
    quotas, idempotency = Quotas(), Idempotency(settings.idempotency_max, errors.idempotency_mismatch)

    def forget(seed: int | None) -> None:
        simulator.reset()
        settlements.clear()
        accounts.clear()
        if seed is not None:
            random.seed(seed)

    shared_control = SharedControl(
        sender,
        faults,
        quotas,
        idempotency,
        quotas_usual={},
        signed_again=announcer.signed_again,
        name_of=orders.name_of,
        orders=lambda: len(orders),
        forget=forget,
    )
    operations = Operations(simulator, refunds, disputes).by_name() | Afterwards(settlements).by_name()
    control = Control(simulator, accounts, faults)
    money_control = MoneyControl(simulator, accounts, refunds, disputes, settlements)
    return Gateway(
        api_path="/razorpay/v1/",
        page_paths=frozenset({EMBEDDED}),
        api=Api(accounts, orders, simulator, faults, quotas, idempotency, operations),
        routes=[
            *Checkout(simulator, accounts).routes(),
            Mount("/razorpay/control", routes=[*shared_control.routes(), *control.routes(), *money_control.routes()]),
        ],
        sender=sender,
        timers=timers,
    )


def _account(settings: Settings) -> Account:
    return Account(
        key_id=settings.razorpay_key_id,
        key_secret=settings.razorpay_key_secret,
        webhook_secret=settings.razorpay_webhook_secret,
        webhook_url=settings.razorpay_webhook_url,
        events=frozenset(part.strip() for part in settings.razorpay_webhook_events.split(",") if part.strip()),
    )
