"""What may happen to money, in any order; what must hold after each step (facts A2, as `ops.invariants` says it)."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from commdesk.payment.v1 import settlements_pb2
from commdesk.payment.v1.settlements_pb2_grpc import SettlementServiceStub
from common import ids
from common.clock import SYSTEM_CLOCK
from ledger.domain.controls import PeriodEndInvalid
from ledger.use_cases import controls
from tests.state_machine.fleet import Envelope, Fleet

PICKS = st.integers(0, 7)
# Everything comes to rest after most steps; after the others its events lie about while the next step happens.
REST = st.sampled_from([True, True, False])
# In rupees: parts of ₹500, all of it, more than that.
AMOUNTS = st.sampled_from([10_000, 12_345, 25_000, 50_000, 60_000])
A_DAY = timedelta(days=1, minutes=1)
DAYS_MAX = 10


class InvariantBroken(AssertionError):
    """What does not hold, after which step."""


class MoneyMachine(RuleBasedStateMachine):
    """One example is one history of a fleet that begins empty. `fleet` and `loop` are set by the test."""

    fleet: ClassVar[Fleet]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.random = Random(0)
        self.payments: list[dict[str, Any]] = []
        self.disputes: list[str] = []
        self.steps = 0
        self.days = 0
        self.is_at_rest = True

    def act(self, work: Coroutine[Any, Any, None], rests: bool) -> None:
        """Carry *work* out, then hand over what it set off: all of it, or only what was announced first."""

        async def step() -> None:
            await work
            if rests:
                await self.fleet.drain(self.random)
            else:
                await self.fleet.collect()

        self.steps += 1
        self.loop.run_until_complete(step())
        self.is_at_rest = rests

    def teardown(self) -> None:
        async def last() -> None:
            await self.fleet.drain(self.random)

        self.loop.run_until_complete(last())
        self.is_at_rest = True
        self.invariants_hold()

    # ── What is done ─────────────────────────────────────────────────────────────────────────────────────────────

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        """*seed* says in which order events come."""
        self.random = Random(seed)
        self.loop.run_until_complete(self.fleet.begin())

        async def first() -> None:
            await self._create()

        self.act(first(), rests=True)

    async def _create(self) -> dict[str, Any]:
        number = len(self.payments)
        created = await self.fleet.world.created(user=f"usr_{number % 3}", key=f"key_{number}")
        self.payments.append(created | {"user": f"usr_{number % 3}", "key": f"key_{number}"})
        return self.payments[-1]

    @rule(rests=REST)
    def create(self, rests: bool) -> None:
        if len(self.payments) < 6:
            self.act(self._made(), rests)

    async def _made(self) -> None:
        made = await self._create()
        again = await self.fleet.world.create(user=made["user"], key=made["key"])
        assert again.json()["data"]["paymentId"] == made["paymentId"], "a key made two payments"

    def _payment(self, pick: int) -> dict[str, Any]:
        return self.payments[pick % len(self.payments)]

    @rule(pick=PICKS, outcome=st.sampled_from(["success", "success", "success_twice", "failure"]), rests=REST)
    def pay(self, pick: int, outcome: str, rests: bool) -> None:
        """A second capture is paid back by the policy; a failure may be followed by a success."""
        self.act(self._pay(self._payment(pick)["orderId"], outcome=outcome), rests)

    async def _pay(self, order_id: str, **how: Any) -> None:
        await self.fleet.control(f"orders/{order_id}/pay", **how)
        await self.fleet.until_sent()

    @rule(pick=PICKS, rests=REST)
    def pay_late(self, pick: int, rests: bool) -> None:
        """The order closes, and the bank pays it after all."""
        self.act(self._late(self._payment(pick)["orderId"]), rests)

    async def _late(self, order_id: str) -> None:
        await self.fleet.control(f"orders/{order_id}/expire")
        await self.fleet.until_sent()
        await self.fleet.drain(self.random)
        await self._pay(order_id, outcome="success", force=True)

    @rule(pick=PICKS, credits=st.sampled_from([1, 700, 5_000, 5_500]), racing=st.booleans(), rests=REST)
    def spend(self, pick: int, credits: int, racing: bool, rests: bool) -> None:
        self.act(self._spend(self._payment(pick)["user"], credits, racing), rests)

    async def _spend(self, user: str, credits: int, racing: bool) -> None:
        keys = [f"spend_{self.steps}_{number}" for number in range(3 if racing else 1)]
        # The first key twice: it is carried out once.
        await asyncio.gather(*(self.fleet.spend(user, credits, key) for key in [*keys, keys[0]]))

    @rule(
        pick=PICKS,
        amounts=st.lists(AMOUNTS, min_size=1, max_size=3),
        fate=st.sampled_from(["the customer asked", "the customer asked", "FAILED", "PENDING"]),
        rests=REST,
    )
    def refund(self, pick: int, amounts: list[int], fate: str, rests: bool) -> None:
        """One part or several at once, each asked for twice; the gateway carries it out, refuses it, or waits."""
        self.act(self._refund(self._payment(pick), amounts, fate), rests)

    async def _refund(self, payment: dict[str, Any], amounts: list[int], fate: str) -> None:
        asked = [(amount, f"refund_{self.steps}_{number}") for number, amount in enumerate(amounts)]
        answers = await asyncio.gather(
            *(self.fleet.refund(payment, amount, fate, key) for amount, key in asked for _ in "12")
        )
        # 503: identity did not answer within its second on a busy machine; nothing was done.
        assert {answer.status_code for answer in answers} <= {201, 202, 400, 409, 503}, [each.text for each in answers]

    @precondition(lambda self: self.is_at_rest)
    @rule(pick=PICKS, status=st.sampled_from(["REVERSED", "SUCCESS", "FAILED"]), rests=REST)
    def decide_refund(self, pick: int, status: str, rests: bool) -> None:
        """The gateway decides about a refund that waits, or one that succeeded comes back."""
        self.act(self._decide(pick, status), rests)

    async def _decide(self, pick: int, status: str) -> None:
        refunds = await self.fleet.world.rows("select id, status from refunds order by id")
        chosen = [row for row in refunds if row.status == ("SUCCESS" if status == "REVERSED" else "PROCESSING")]
        if not chosen:
            return
        refund_id = ids.encode("rfd", chosen[pick % len(chosen)].id)
        await self.fleet.control(f"refunds/{refund_id}", status=status)
        await self.fleet.until_sent()
        # What the gateway sends no webhook about is looked up.
        self.pass_days(1)
        await self.fleet.served["payment"].run_job("refund_checks")

    @rule(pick=PICKS, amount=st.sampled_from([10_000, 50_000]), rests=REST)
    def dispute(self, pick: int, amount: int, rests: bool) -> None:
        self.act(self._dispute(self._payment(pick)["orderId"], amount), rests)

    async def _dispute(self, order_id: str, amount: int) -> None:
        answer = await self.fleet.control(f"orders/{order_id}/disputes", amount_paise=amount)
        if answer.status_code == 201:
            self.disputes.append(str(answer.json()["dispute_id"]))
        await self.fleet.until_sent()

    @precondition(lambda self: self.disputes)
    @rule(pick=PICKS, step=st.sampled_from(["WON", "LOST"]), rests=REST)
    def decide_dispute(self, pick: int, step: str, rests: bool) -> None:
        self.act(self._decide_dispute(self.disputes[pick % len(self.disputes)], step), rests)

    async def _decide_dispute(self, dispute_id: str, step: str) -> None:
        await self.fleet.control(f"disputes/{dispute_id}", step=step)
        await self.fleet.until_sent()

    @rule(picks=st.lists(PICKS, min_size=1, max_size=3), rests=REST)
    def settle(self, picks: list[int], rests: bool) -> None:
        """The gateway pays orders out; payment imports it, twice."""
        self.act(self._settle([self._payment(pick)["orderId"] for pick in picks]), rests)

    async def _settle(self, order_ids: list[str]) -> None:
        await self.fleet.control("settlements", order_ids=sorted(set(order_ids)))
        stub = SettlementServiceStub(self.fleet.world.channel())  # type: ignore[no-untyped-call]
        for _ in "12":
            await stub.ImportSettlements(settlements_pb2.ImportSettlementsRequest(), timeout=20)

    @rule(
        again=st.lists(st.tuples(PICKS, st.booleans()), min_size=1, max_size=12),
        seed=st.integers(0, 2**16),
        rests=REST,
    )
    def replay(self, again: list[tuple[int, bool]], seed: int, rests: bool) -> None:
        """Events of any kind and time come again, in the same envelope or in another."""
        self.act(self._replay(again, Random(seed)), rests)

    async def _replay(self, again: list[tuple[int, bool]], random: Random) -> None:
        by_kind: dict[tuple[str, str], list[Envelope]] = {}
        for envelope in self.fleet.handled:
            by_kind.setdefault(envelope.kind, []).append(envelope)
        for number, resealed in again:
            if by_kind:
                # Each kind as likely as any other: of some there are few.
                those = by_kind[random.choice(sorted(by_kind))]
                await self.fleet.deliver(those[number % len(those)], resealed=resealed)

    @rule(number=st.integers(0, 60), rests=REST)
    def replay_webhook(self, number: int, rests: bool) -> None:
        async def again() -> None:
            hooks = self.fleet.world.hooks
            if hooks:
                await self.fleet.world.deliver(hooks[number % len(hooks)])

        self.act(again(), rests)

    @rule(days=st.integers(1, 3), rests=REST)
    def look_up(self, days: int, rests: bool) -> None:
        """Time passes: the sweeps ask the gateway for what nobody told."""

        async def later() -> None:
            self.pass_days(days)
            for job in ("sweep", "closed_checks", "refund_checks", "dispute_checks", "receipt_refunds"):
                await self.fleet.served["payment"].run_job(job)

        self.act(later(), rests)

    @rule(rests=REST)
    def close_period(self, rests: bool) -> None:
        """What comes late counts in the open period."""

        async def close() -> None:
            try:
                await controls.close_period(
                    self.fleet.served["ledger"].resources.db,
                    SYSTEM_CLOCK,
                    "mer_commdesk",
                    datetime.now(UTC) - timedelta(milliseconds=1),
                    "usr_finance",
                    "the month is over",
                )
            except PeriodEndInvalid:
                # Closed up to there already.
                return

        self.act(close(), rests)

    def pass_days(self, days: int) -> None:
        """The gateway lives in real time, and knows orders of this month."""
        if self.days + days <= DAYS_MAX:
            self.days += days
            self.fleet.clock.advance(days * A_DAY.total_seconds())

    # ── What must hold ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def invariants_hold(self) -> None:
        """All of them when everything has come to rest; else those that hold at every moment."""
        found = self.loop.run_until_complete(self.fleet.database.violations(quiet=self.is_at_rest))
        if found:
            raise InvariantBroken("; ".join(map(str, found)))
