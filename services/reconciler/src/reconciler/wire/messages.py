"""Answers of the gRPC service."""

from commdesk.reconciler.v1 import reconciler_pb2 as pb
from common import ids
from common.events import micros
from reconciler.domain.runs import Case, RunReport
from reconciler.wire.events import CASE, RUN


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
    )
