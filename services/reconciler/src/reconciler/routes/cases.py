"""HTTP endpoints of cases, reports, closes and bank statements, for the platform's finance staff."""

from functools import partial
from typing import Any
from uuid import UUID

from common import ids
from common.authorization import ACT_ERRORS
from common.http_server import Call, Encoded, Route
from reconciler.domain.access import MerchantNotPlatform
from reconciler.domain.bank import BankStatementInvalid, BankStatementStored
from reconciler.domain.cases import CaseClosed, CaseNotesTooMany, CaseNotFound, CaseNotRerunnable
from reconciler.domain.closes import DayNotOver
from reconciler.domain.runs import RunNotFound
from reconciler.use_cases.cases import CaseWork
from reconciler.wire import statements, views
from reconciler.wire.events import CASE, RUN
from reconciler.wire.requests import (
    CloseBody,
    ClosesQuery,
    NoteBody,
    OwnerBody,
    ReportQuery,
    ResolutionBody,
    StatementQuery,
)
from reconciler.wire.views import BankStatementView, CaseFileView, CaseView, ClosesView, CloseView, RunReportView

PREFIX = "/api/v1/reconciliation"


def routes(work: CaseWork) -> list[Route[Any]]:
    read = partial(Route, "GET", permission="reconciliation.read")
    act = partial(Route, "POST", permission="reconciliation.resolve")
    run = partial(Route, "POST", permission="reconciliation.run")
    case = [MerchantNotPlatform, CaseNotFound, ids.IdInvalid]
    return [
        read(f"{PREFIX}/cases/{{caseId}}", partial(show_case, work), answer=CaseFileView, errors=case),
        act(
            f"{PREFIX}/cases/{{caseId}}/assign",
            partial(assign_case, work),
            body=OwnerBody,
            answer=CaseView,
            errors=[*case, CaseClosed],
        ),
        act(
            f"{PREFIX}/cases/{{caseId}}/notes",
            partial(note_on_case, work),
            body=NoteBody,
            answer=CaseFileView,
            status=201,
            errors=[*case, CaseNotesTooMany],
        ),
        act(
            f"{PREFIX}/cases/{{caseId}}/resolve",
            partial(resolve_case, work),
            body=ResolutionBody,
            answer=CaseView,
            errors=[*case, *ACT_ERRORS, CaseClosed],
        ),
        act(
            f"{PREFIX}/cases/{{caseId}}/rerun",
            partial(rerun_case, work),
            answer=CaseView,
            errors=[*case, CaseNotRerunnable],
        ),
        read(
            f"{PREFIX}/runs/{{runId}}/report",
            partial(report_run, work),
            query=ReportQuery,
            answer=RunReportView,
            errors=[MerchantNotPlatform, RunNotFound, ids.IdInvalid],
        ),
        run(
            f"{PREFIX}/closes",
            partial(close_day, work),
            body=CloseBody,
            answer=CloseView,
            status=201,
            errors=[MerchantNotPlatform, DayNotOver],
        ),
        read(
            f"{PREFIX}/closes",
            partial(list_closes, work),
            query=ClosesQuery,
            answer=ClosesView,
            errors=[MerchantNotPlatform],
        ),
        run(
            f"{PREFIX}/statements",
            partial(upload_statement, work),
            body=bytes,
            body_bytes_max=statements.FILE_BYTES_MAX,
            query=StatementQuery,
            answer=BankStatementView,
            status=201,
            errors=[MerchantNotPlatform, BankStatementInvalid, BankStatementStored],
        ),
    ]


def _case_id(call: Call[Any, Any]) -> UUID:
    return ids.decode(CASE, call.path["caseId"])


async def show_case(work: CaseWork, call: Call) -> CaseFileView:
    """A case with what each side says, its notes, and earlier cases about the same."""
    return views.case_file(await work.show(call.caller.merchant_id, _case_id(call)))


async def assign_case(work: CaseWork, call: Call[OwnerBody]) -> CaseView:
    """Give an open case to somebody."""
    caller = call.caller
    return views.case(await work.assign(caller.merchant_id, caller.user_id, _case_id(call), call.body.owner))


async def note_on_case(work: CaseWork, call: Call[NoteBody]) -> CaseFileView:
    """Note on a case; notes stay as they are."""
    caller = call.caller
    return views.case_file(await work.note(caller.merchant_id, caller.user_id, _case_id(call), call.body.note))


async def resolve_case(work: CaseWork, call: Call[ResolutionBody]) -> CaseView:
    """Close a case with a reason; the difference opens one again when it changes, or comes back."""
    return views.case(await work.resolve_for(call.caller, _case_id(call), call.body.reason))


async def rerun_case(work: CaseWork, call: Call) -> CaseView:
    """Judge the payment or settlement of a case now."""
    return views.case(await work.rerun(call.caller.merchant_id, call.caller.user_id, _case_id(call)))


async def report_run(work: CaseWork, call: Call[None, ReportQuery]) -> RunReportView | Encoded:
    """A run and the cases that it opened or resolved, as JSON or CSV."""
    report = await work.report(call.caller.merchant_id, ids.decode(RUN, call.path["runId"]))
    if call.query.format == "csv":
        return Encoded(views.report_csv(report), media_type="text/csv")
    return views.run_report(report)


async def close_day(work: CaseWork, call: Call[CloseBody]) -> CloseView:
    """State what of a day in India is matched, explained and open, to the paisa."""
    return views.close(await work.close(call.caller.merchant_id, call.caller.user_id, call.body.day))


async def list_closes(work: CaseWork, call: Call[None, ClosesQuery]) -> ClosesView:
    """Daily closes, the last one first."""
    closes = await work.list_closes(call.caller.merchant_id, call.query.day)
    return ClosesView([views.close(each) for each in closes])


async def upload_statement(work: CaseWork, call: Call[bytes, StatementQuery]) -> BankStatementView:
    """Store a bank's statement, CSV or MT940; the next run looks for settlements in it."""
    statement = statements.parse(call.body, call.query.account, call.query.currency)
    stored = await work.upload(call.caller.merchant_id, call.caller.user_id, statement, call.body)
    return views.statement(stored)
