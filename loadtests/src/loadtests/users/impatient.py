"""A client that never waits: it sends everything several times at once, always under the same idempotency keys."""

import secrets
from collections.abc import Callable
from typing import TypeVar

import gevent
from locust import task

from loadtests import members
from loadtests.users.journey import CREATE, DESCRIPTION, PACK_CREDITS, PACK_ID, STEP_SECONDS, Journey, StepFailed

T = TypeVar("T")

TIMES = 3
# The outcome is not known yet, another request of the same key is under way, or too much is going on: once more.
NOT_FINAL = frozenset({202, 409, 503})
FINAL = frozenset({201})
LIVES_MAX = 200


class ImpatientClient(Journey):
    """Whatever it repeats happens once: one payment, one grant, the same answer every time."""

    title = "impatient client retries everything"

    @task
    def buy_in_a_hurry(self) -> None:
        with self.travelling():
            [token] = members.tokens(DESCRIPTION["jwt_secret"], 1)
            key = secrets.token_hex(12)
            answers = self._at_once(lambda: self._create(token, key))
            if len(set(answers)) != 1:
                raise StepFailed(f"one key, {len(set(answers))} different answers")
            payment_id, order_id = answers[0]
            self.pay(order_id)
            self._at_once(lambda: self._verify(token, payment_id))
            self.until_success(token, payment_id)
            self.until_available(token, PACK_CREDITS)

    def _at_once(self, send: Callable[[], T]) -> list[T]:
        """What each of several greenlets got. Raises StepFailed."""
        sending = [gevent.spawn(send) for _ in range(TIMES)]
        gevent.joinall(sending, timeout=STEP_SECONDS)
        if not all(greenlet.successful() for greenlet in sending):
            raise StepFailed(f"repeated at once: {[str(greenlet.exception) for greenlet in sending]}")
        return [greenlet.value for greenlet in sending]

    def _create(self, token: str, key: str) -> tuple[str, str]:
        for _ in range(LIVES_MAX):
            answer = self.step(
                "POST",
                CREATE,
                FINAL | NOT_FINAL,
                body={"packId": PACK_ID},
                token=token,
                headers={"Idempotency-Key": key},
            )
            if answer.status in FINAL:
                return answer.data["paymentId"], answer.data["orderId"]
            gevent.sleep(0.05)  # Retry-After says a second; this one does not read it
        raise StepFailed("create never came to an end")

    def _verify(self, token: str, payment_id: str) -> int:
        path = "/api/v1/payments/verify"
        return int(self.step("POST", path, {200, 202}, body={"paymentId": payment_id}, token=token).status)
