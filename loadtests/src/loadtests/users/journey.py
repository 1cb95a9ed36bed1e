"""What all journeys share: the stack they run against, a step that must come out, and the journey as one figure."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import gevent
from locust import FastHttpUser, between

from loadtests.session import stack_at
from ops.ports import Layout

T = TypeVar("T")

DESCRIPTION = stack_at(Layout.from_environment())
SANDBOX_URL: str = DESCRIPTION["sandbox_url"]
PACK_ID = "pack_500"
PACK_CREDITS = 5_500
CREATE = "/api/v1/payments/create"
WEBHOOK = "/api/v1/webhooks/cashfree"
STEP_SECONDS = 30.0
LOOK_SECONDS = 0.1


class StepFailed(Exception):
    """A step did not come out; the message says which and what was answered."""


class Journey(FastHttpUser):
    """A user whose one task is a journey: it is reported as a request of type JOURNEY, with its whole time."""

    abstract = True
    host = DESCRIPTION["edge_url"]
    wait_time = between(0.1, 0.5)
    title = ""

    @contextmanager
    def travelling(self) -> Iterator[None]:
        """The block is one journey: complete, or failed with the step that did not come out."""
        started = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except StepFailed as failed:
            failure = failed
        self.environment.events.request.fire(
            request_type="JOURNEY",
            name=self.title,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=0,
            exception=failure,
            context={},
        )

    def step(
        self,
        method: str,
        path: str,
        statuses: Collection[int],
        *,
        name: str = "",
        body: Any = None,
        token: str = "",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Any:
        """The decoded answer of a request that must come out with one of *statuses*. Raises StepFailed."""
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        content = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        with self.client.request(
            method, path, name=name or path, headers=sent, catch_response=True, **content
        ) as response:
            if response.status_code in statuses:
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
                raise StepFailed(f"{method} {name or path} was answered {response.status_code}")
            answer = response.json() if response.text else {}
        return Answer(response.status_code, answer, response.headers)

    def until(self, look: Callable[[], T | None], what: str) -> T:
        """The first answer that is not None. Raises StepFailed when it does not come about in time."""
        ends = time.monotonic() + STEP_SECONDS
        while (found := look()) is None:
            if time.monotonic() > ends:
                raise StepFailed(f"{what} did not come about within {STEP_SECONDS:.0f} s")
            gevent.sleep(LOOK_SECONDS)
        return found

    def pay(self, order_id: str) -> None:
        """As the customer at the gateway's page."""
        path = f"{SANDBOX_URL}/control/orders/{order_id}/pay"
        self.step("POST", path, {200}, name="(gateway) pay", body={"method": "upi", "outcome": "success"})

    def until_success(self, token: str, payment_id: str) -> None:
        path = f"/api/v1/payments/{payment_id}"

        def look() -> bool | None:
            found = self.step("GET", path, {200}, name="/api/v1/payments/{id}", token=token).data
            return True if found["status"] == "SUCCESS" else None

        self.until(look, "SUCCESS")

    def until_available(self, token: str, credits: int) -> None:
        """Exactly so many credits: more would be a second grant. Raises StepFailed."""

        def look() -> bool | None:
            found = self.step("GET", "/api/v1/wallet", {200}, token=token).data["available"]
            if found > credits:
                raise StepFailed(f"{found} credits where {credits} were bought")
            return True if found == credits else None

        self.until(look, f"{credits} credits")


class Answer:
    """An answer of ours: *data* is what stands under "data", of the simulator's all of it."""

    def __init__(self, status: int, body: Any, headers: Any) -> None:
        self.status = status
        self.data = body["data"] if isinstance(body, dict) and "success" in body and "data" in body else body
        self.headers = headers
