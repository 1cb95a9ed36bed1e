"""Door: HTTP. For the platform's finance people; a merchant's own see their own figures only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from common.clock import Clock
from common.database import Database
from common.errors import InvalidArgument, PermissionDenied
from common.http_server import Body, Route, caller, query, reply, route
from reconciler import store, use_cases, wire
from reconciler.domain import Scope
from reconciler.use_cases import Reconciliation

ROLES = ("FINANCE", "ADMIN")
DAYS_DEFAULT, DAYS_MAX = 30, 366


class NotThePlatform(PermissionDenied):
    """Runs and cases are about all merchants together."""

    fix = "Ask somebody of the platform's own finance team."


class PeriodInvalid(InvalidArgument):
    """The period ends before it begins, or is too long."""

    fix = f"Ask for at most {DAYS_MAX} days, the first before the last."


class RunsQuery(Body, frozen=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class CasesQuery(Body, frozen=True):
    status: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class SummaryQuery(Body, frozen=True):
    """Both days are included; UTC."""

    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)


def routes(db: Database, reconciliation: Reconciliation, clock: Clock, platform_merchant_id: str) -> Sequence[Route]:
    def admit(request: Request) -> str:
        """The caller's id. Raises NotThePlatform."""
        asking = caller(request)
        if asking.merchant_id != platform_merchant_id:
            raise NotThePlatform("this is for the platform's own people")
        return asking.user_id

    async def runs(request: Request) -> Response:
        admit(request)
        asked = query(request, RunsQuery)
        async with db.begin() as tx:
            found = await store.runs(tx, asked.limit)
        return reply({"runs": [wire.run_json(run) for run in found]})

    async def start(request: Request) -> Response:
        run, cases = await reconciliation.run(Scope.ALL, admit(request))
        return reply({"run": wire.run_json(run), "cases": [wire.case_json(case) for case in cases]})

    async def cases(request: Request) -> Response:
        admit(request)
        asked = query(request, CasesQuery)
        async with db.begin() as tx:
            found = await store.cases(tx, wire.case_status(asked.status), asked.limit)
        return reply({"cases": [wire.case_json(case) for case in found]})

    async def summary(request: Request) -> Response:
        asked = query(request, SummaryQuery)
        merchant_id = caller(request).merchant_id
        last = asked.last or clock.now().date()
        first = asked.first or last - timedelta(days=DAYS_DEFAULT - 1)
        if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
            raise PeriodInvalid("the period is not one that can be asked for")
        days, failures = await use_cases.summarise(
            db, merchant_id, first, last, with_webhooks=merchant_id == platform_merchant_id
        )
        return reply({"from": first, "to": last, **wire.summary_json(days, failures)})

    return (
        route("GET", "/api/v1/reconciliation/runs", runs, roles=ROLES),
        route("POST", "/api/v1/reconciliation/runs", start, roles=ROLES),
        route("GET", "/api/v1/reconciliation/cases", cases, roles=ROLES),
        route("GET", "/api/v1/analytics/summary", summary, roles=ROLES),
    )
