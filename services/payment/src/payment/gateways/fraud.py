"""The fraud service's score of a payment, in batches and within a few milliseconds."""

from collections.abc import Sequence

import grpc
import msgspec
from loguru import logger

from commdesk.common.v1.common_pb2 import Money
from commdesk.fraud.v1 import fraud_pb2 as pb
from commdesk.fraud.v1.fraud_pb2_grpc import FraudServiceStub
from common import grpc_client, ids, telemetry
from common.batching import NO_WINDOW, Batcher
from common.errors import DomainError, Unavailable
from common.runtime import Workers
from common.seals import DEVICE, IP, Sealer
from payment.domain.payments import Payment

TIMEOUT_SECONDS = 0.05
# As many as are scored well within that.
SUBJECTS_MAX = 64
_unscored = telemetry.counter("payment_fraud_unscored_total", "Payments that fraud did not score in time", ["policy"])
_retried = telemetry.counter("payment_fraud_retried_total", "Calls to fraud that failed once", ["status"])


class FraudUnavailable(Unavailable):
    fix = "Try again in a moment; payments are not taken while they cannot be checked."


class FraudVerdict(msgspec.Struct, frozen=True, gc=False):
    """*score* is 0 (no concern) to 1000, None when nobody scored."""

    score: int | None = None
    review: bool = False
    block: bool = False
    reasons: str = ""


class FraudScores:
    """Scores through a Batcher around one gRPC call."""

    def __init__(self, stub: FraudServiceStub, sealer: Sealer, *, fail_open: bool) -> None:
        self._stub = stub
        self._sealer = sealer
        self._fail_open = fail_open
        self.batcher: Batcher[Payment, FraudVerdict] = Batcher(
            self._score, name="fraud_scores", items_max=SUBJECTS_MAX, window=NO_WINDOW
        )

    @property
    def workers(self) -> Workers:
        return Workers(batchers=(self.batcher,))

    async def verdict(self, payment: Payment) -> FraudVerdict:
        """Fraud's verdict; without one, by policy, a clean verdict or FraudUnavailable.

        The deadline is the calls' own: another call may be before ours and each is made twice at most, so the wait is
        at most four times that. A deadline around it would count this process's own delay as fraud's.
        """
        try:
            return await self.batcher.submit(payment)
        except DomainError as error:
            _unscored.of("open" if self._fail_open else "closed").inc()
            if self._fail_open:
                return FraudVerdict()
            raise FraudUnavailable from error

    async def _score(self, payments: list[Payment]) -> Sequence[FraudVerdict | DomainError]:
        request = pb.ScoreRequest(
            subjects=[
                pb.Subject(
                    payment_id=ids.encode("pay", payment.id),
                    merchant_id=payment.merchant_id,
                    user_id=payment.user_id,
                    ip=self._sealer.open(IP, payment.origin.ip),
                    device_id=self._sealer.open(DEVICE, payment.origin.device_id),
                    amount=Money(minor=payment.amount.minor, currency=payment.amount.currency),
                    # A repeated request is a new payment here: without its key, retries would look like velocity.
                    request_key=payment.idempotency_key,
                )
                for payment in payments
            ]
        )
        response = await self._call(request)
        if len(response.scores) != len(payments):
            logger.error("fraud answered {} of {} subjects", len(response.scores), len(payments))
            raise FraudUnavailable
        return [
            FraudVerdict(
                score.score,
                score.decision == pb.DECISION_REVIEW,
                score.decision == pb.DECISION_BLOCK,
                ",".join(score.reasons)[:200],
            )
            for score in response.scores
        ]

    async def _call(self, request: pb.ScoreRequest) -> pb.ScoreResponse:
        """Call, and once more after a failure: on a busy machine one call in a hundred is late, two in a row are not.

        Fraud counts a payment once, however often it scores it.
        """
        try:
            response: pb.ScoreResponse = await self._stub.Score(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            _retried.of(error.code().name).inc()
            try:
                response = await self._stub.Score(request, timeout=TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as second:
                raise grpc_client.errors_from(second) from second
        return response
