"""Cashfree, put together: the API under /pg, the hosted page, and control."""

from random import Random

from starlette.routing import Mount

from sandbox.cashfree import errors, webhooks
from sandbox.cashfree.accounts import Account, Accounts
from sandbox.cashfree.afterwards import Afterwards
from sandbox.cashfree.announcer import Announcer
from sandbox.cashfree.api import Api
from sandbox.cashfree.calls import QUOTAS
from sandbox.cashfree.checkout import Checkout
from sandbox.cashfree.control import Control
from sandbox.cashfree.disputes import Disputes
from sandbox.cashfree.money_control import MoneyControl
from sandbox.cashfree.order_registry import OrderRegistry
from sandbox.cashfree.outcomes import MAGIC_HANDLES
from sandbox.cashfree.refunds import Refunds
from sandbox.cashfree.settlements import Settlements
from sandbox.cashfree.simulator import Simulator
from sandbox.control import SharedControl
from sandbox.delivery import Sender
from sandbox.dispatch import Dispatch
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.idempotency import Idempotency
from sandbox.outcomes import OutcomeDraw
from sandbox.quotas import Quotas
from sandbox.settings import Settings
from sandbox.settling import Fees
from sandbox.timers import Timers


def gateway(settings: Settings, random: Random) -> Gateway:
    """Cashfree with the account of the settings, and those that control adds."""
    faults, timers = Faults(random), Timers()
    sender = Sender(
        connections=settings.webhook_connections,
        timeout_seconds=settings.webhook_timeout_ms / 1000,
        retry_seconds=settings.retry_seconds,
        pending_max=settings.webhook_pending_max,
        log_max=settings.webhook_log_max,
        attempt_header=webhooks.ATTEMPT_HEADER,
    )
    own = Account(
        app_id=settings.app_id,
        secret_key=settings.secret_key,
        webhook_secret=settings.webhook_secret,
        webhook_url=settings.webhook_url,
    )
    accounts = Accounts([own])
    announcer = Announcer(accounts, settings.webhook_version, Dispatch(sender, random), faults)
    orders, draw = OrderRegistry(settings.orders_max, faults.forget), OutcomeDraw(settings, random, MAGIC_HANDLES)
    simulator = Simulator(orders, draw, announcer, timers)
    refunds = Refunds(orders, draw, announcer, timers)
    quotas = Quotas(QUOTAS if settings.quotas else {})
    idempotency = Idempotency(settings.idempotency_max, errors.idempotency_mismatch)
    disputes = Disputes(orders, announcer)
    settlements = Settlements(orders, announcer, Fees(settings.fee_basis_points, settings.fee_tax_basis_points))

    def forget(seed: int | None) -> None:
        simulator.reset()
        disputes.clear()
        settlements.clear()
        accounts.clear()
        if seed is not None:
            random.seed(seed)

    shared_control = SharedControl(
        sender,
        faults,
        quotas,
        idempotency,
        quotas_usual=QUOTAS,
        signed_again=announcer.signed_again,
        name_of=str,
        orders=lambda: len(orders),
        forget=forget,
    )
    control = Control(simulator, refunds, announcer, faults)
    money_control = MoneyControl(accounts, orders, refunds, disputes, settlements)
    afterwards = Afterwards(orders, disputes, settlements)
    return Gateway(
        api_path="/pg/",
        api=Api(settings, accounts, simulator, refunds, afterwards, faults, quotas, idempotency),
        routes=[
            Mount("/control", routes=[*shared_control.routes(), *control.routes(), *money_control.routes()]),
            Mount("/checkout", routes=Checkout(simulator).routes()),
        ],
        sender=sender,
        timers=timers,
    )
