"""The fraud service's opinion of a payment, asked for in batches and within a few milliseconds."""

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
# So many are scored well within that.
SUBJECTS_MAX = 64
_silent = telemetry.counter("payment_fraud_silent_total", "Scores that fraud did not give in time", ["policy"])
_asked_again = telemetry.counter("payment_fraud_asked_again_total", "Calls to fraud that failed once", ["status"])


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
        self.batcher: Batcher[Payment, Verdict] = Batcher(
            self._score, name="fraud_scores", items_max=SUBJECTS_MAX, period_seconds=0
        )

    async def verdict(self, payment: Payment) -> Verdict:
        """Fraud's opinion; without one, by policy, a clean verdict or FraudUnavailable.

        The calls' deadline is the only one: a call may be before ours and each is made twice at most, so that nobody
        waits longer than four times that. A clock of our own would take our lateness for fraud's.
        """
        try:
            return await self.batcher.submit(payment)
        except DomainError as error:
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
        response = await self._ask(request)
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

    async def _ask(self, request: pb.ScoreRequest) -> pb.ScoreResponse:
        """Ask, and after a silence once more: on a full machine one call in a hundred is unlucky, two in a row are not.

        Fraud counts a payment once, however often it is asked about it.
        """
        try:
            response: pb.ScoreResponse = await self._stub.Score(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            _asked_again.of(error.code().name).inc()
            try:
                response = await self._stub.Score(request, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as again:
                raise grpc_client.errors_from(again) from again
        return response
