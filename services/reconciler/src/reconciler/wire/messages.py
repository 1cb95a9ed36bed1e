"""Answers of the gRPC service."""

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from common import ids
from common.events import micros
from reconciler.domain.bank import StoredStatement
from reconciler.domain.closes import Close
from reconciler.domain.runs import Case, RunReport
from reconciler.wire.events import CASE, CLOSE, RUN, STATEMENT


def run_response(report: RunReport) -> pb.RunResponse:
    run = report.run
    return pb.RunResponse(
        run_id=ids.encode(RUN, run.run_id),
        envelopes_checked=run.envelopes_checked,
        envelopes_republished=run.envelopes_republished,
        cases=[case(each) for each in report.cases],
        totals=run.totals,
    )


def case(case: Case) -> pb.Case:
    return pb.Case(
        case_id=ids.encode(CASE, case.case_id),
        run_id=ids.encode(RUN, case.run_id),
        kind=case.kind,
        reference=case.reference,
        detail=case.detail,
        status=case.status,
        opened_unix_micros=micros(case.opened_at),
        payment_id=case.payment_id,
        amount_minor=case.amount_minor,
        currency=case.currency,
        owner=case.owner,
    )


def close(close: Close) -> pb.CloseDayResponse:
    return pb.CloseDayResponse(
        close_id=ids.encode(CLOSE, close.close_id),
        day=close.day.isoformat(),
        currencies=[
            pb.CloseFigures(
                currency=each.currency,
                payments=each.payments,
                total_minor=each.total_minor,
                matched_minor=each.matched_minor,
                explained_minor=each.explained_minor,
                open_minor=each.open_minor,
                other_cases=each.other_cases,
                other_minor=each.other_minor,
                settlements=each.settlements,
                settled_net_minor=each.settled_net_minor,
                banked_minor=each.banked_minor,
            )
            for each in close.currencies
        ],
    )


def statement(stored: StoredStatement) -> pb.StoreStatementResponse:
    return pb.StoreStatementResponse(
        statement_id=ids.encode(STATEMENT, stored.statement_id),
        format=stored.statement.format,
        first_on=stored.statement.first_on.isoformat(),
        last_on=stored.statement.last_on.isoformat(),
        lines=len(stored.statement.lines),
        lines_added=stored.lines_added,
    )
