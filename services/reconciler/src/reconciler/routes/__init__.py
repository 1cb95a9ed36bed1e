"""HTTP endpoints: runs and cases for the platform's finance staff, a summary of billing for every merchant's own."""

from functools import partial
from typing import Any

from common.http_server import Call, Route
from common.pages import CursorInvalid, Page
from reconciler.domain.access import MerchantNotPlatform
from reconciler.domain.billing import PeriodInvalid
from reconciler.domain.runs import CaseStatusUnknown, RunInProgress, parse_case_status
from reconciler.routes import cases, request_log
from reconciler.use_cases.billing import BillingReports
from reconciler.use_cases.cases import CaseWork
from reconciler.use_cases.listings import Listings
from reconciler.use_cases.reconciliation import Reconciliation
from reconciler.wire import requests, views
from reconciler.wire.requests import CasesQuery, RunsQuery, SummaryQuery
from reconciler.wire.views import CaseView, RunReportView, RunView, SummaryView


def routes(
    reconciliation: Reconciliation,
    listings: Listings,
    reports: BillingReports,
    work: CaseWork,
    peers: request_log.Peers,
) -> list[Route[Any]]:
    return [
        *cases.routes(work),
        *request_log.routes(peers),
        Route(
            "GET",
            "/api/v1/reconciliation/runs",
            partial(list_runs, listings),
            query=RunsQuery,
            answer=Page[RunView],
            permission="reconciliation.read",
            errors=[MerchantNotPlatform, CursorInvalid],
        ),
        Route(
            "POST",
            "/api/v1/reconciliation/runs",
            partial(start_run, reconciliation),
            answer=RunReportView,
            permission="reconciliation.run",
            errors=[MerchantNotPlatform, RunInProgress],
        ),
        Route(
            "GET",
            "/api/v1/reconciliation/cases",
            partial(list_cases, listings),
            query=CasesQuery,
            answer=Page[CaseView],
            permission="reconciliation.read",
            errors=[MerchantNotPlatform, CaseStatusUnknown, CursorInvalid],
        ),
        Route(
            "GET",
            "/api/v1/analytics/summary",
            partial(summarise_billing, reports),
            query=SummaryQuery,
            answer=SummaryView,
            permission="analytics.read",
            errors=[PeriodInvalid],
        ),
    ]


async def list_runs(listings: Listings, call: Call[None, RunsQuery]) -> Page[RunView]:
    """The runs of reconciliation, newest first."""
    query = call.query
    runs = await listings.list_runs(call.caller.merchant_id, query.limit + 1, requests.position(query))
    return views.runs(runs, query.limit)


async def start_run(reconciliation: Reconciliation, call: Call) -> RunReportView:
    """Compare deliveries and books now; answered when the run has finished."""
    return views.run_report(await reconciliation.run_for(call.caller.merchant_id, call.caller.user_id))


async def list_cases(listings: Listings, call: Call[None, CasesQuery]) -> Page[CaseView]:
    """What is or was wrong, newest first."""
    query = call.query
    status = parse_case_status(query.status)
    cases = await listings.list_cases(call.caller.merchant_id, status, query.limit + 1, requests.position(query))
    return views.cases(cases, query.limit)


async def summarise_billing(reports: BillingReports, call: Call[None, SummaryQuery]) -> SummaryView:
    """The merchant's payments by day and currency; the platform also sees how many webhooks were refused."""
    return views.summary(await reports.summarise(call.caller.merchant_id, call.query.first, call.query.last))
