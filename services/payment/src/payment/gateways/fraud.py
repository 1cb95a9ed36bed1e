"""The fraud service's opinion of a payment, asked for in batches and within a few milliseconds."""

import asyncio
from collections.abc import Sequence

import grpc
import msgspec
from loguru import logger

from commdesk.common.v1.common_pb2 import Money
from commdesk.fraud.v1 import fraud_pb2 as pb
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from common import grpc_client, ids, telemetry
from common.batching import Batcher
from common.errors import DomainError, Unavailable
from payment.domain import Payment

TIMEOUT_SECONDS = 0.05
_silent = telemetry.counter("payment_fraud_silent_total", "Scores that fraud did not give in time", ["policy"])


class FraudUnavailable(Unavailable):
    fix = "Try again in a moment; payments are not taken while they cannot be checked."


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """*score* is 0 (no concern) to 1000, None when nobody scored."""

    score: int | None = None
    review: bool = False
    block: bool = False
    reasons: str = ""


class FraudScores:
    """Scores through a Batcher around one gRPC call."""

    def __init__(self, stub: FraudServiceStub, *, fail_open: bool) -> None:
        self._stub = stub
        self._fail_open = fail_open
        self.batcher: Batcher[Payment, Verdict] = Batcher(self._score, name="fraud_scores", items_max=256)

    async def verdict(self, payment: Payment) -> Verdict:
        """Fraud's opinion; without one, by policy, a clean verdict or FraudUnavailable."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_SECONDS):
                return await self.batcher.submit(payment)
        except (DomainError, TimeoutError) as error:
            _silent.of("open" if self._fail_open else "closed").inc()
            if self._fail_open:
                return Verdict()
            raise FraudUnavailable from error

    async def _score(self, payments: list[Payment]) -> Sequence[Verdict | DomainError]:
        request = pb.ScoreRequest(
            subjects=[
                pb.Subject(
                    payment_id=ids.encode("pay", payment.id),
                    merchant_id=payment.merchant_id,
                    user_id=payment.user_id,
                    ip=payment.origin.ip,
                    device_id=payment.origin.device_id,
                    amount=Money(minor=payment.amount.minor, currency=payment.amount.currency),
                    # Each try of a request is a new payment to us: without the key a patient caller looks like a flood.
                    request_key=payment.idempotency_key,
                )
                for payment in payments
            ]
        )
        try:
            response = await self._stub.Score(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise grpc_client.errors_from(error) from error
        if len(response.scores) != len(payments):
            logger.error("fraud answered {} of {} subjects", len(response.scores), len(payments))
            raise FraudUnavailable
        return [
            Verdict(
                score.score,
                score.decision == pb.DECISION_REVIEW,
                score.decision == pb.DECISION_BLOCK,
                ",".join(score.reasons)[:200],
            )
            for score in response.scores
        ]
