"""Runs, what they find, and the cases that findings become."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from common.errors import Conflict, InvalidArgument, NotFound


class Scope(StrEnum):
    DELIVERIES = "DELIVERIES"
    ALL = "ALL"


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    # Some services did not answer.
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class CaseStatus(StrEnum):
    OPEN = "OPEN"
    RESOLVED = "RESOLVED"


class RunInProgress(Conflict):
    """Another run is at work; there is one at a time."""

    fix = "Wait for the run that is at work, then start another if it is still needed."


class RunAbandoned(Conflict):
    """The run lost its lease to another: its process stood still, or could not reach the database, for too long."""

    fix = "Nothing to do: the run that took over finds the same."


class RunNotFound(NotFound):
    """There is no such run."""

    fix = "List the runs at GET /api/v1/reconciliation/runs."


class CaseStatusUnknown(InvalidArgument):
    """There is no such status of a case."""

    fix = "Ask for OPEN, RESOLVED or ANY."


class Evidence(Struct, frozen=True):
    """What one side says about a difference. Values are texts; amounts in them are minor units."""

    source: str
    values: Mapping[str, str] = {}


class Finding(Struct, frozen=True):
    """What must be an open case while it is so. *amount_minor* is how much money is in question, zero or above."""

    kind: str
    reference: str
    detail: str
    # Empty when it is about none alone.
    payment_id: str = ""
    settlement_id: str = ""
    merchant_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    evidence: Sequence[Evidence] = ()


class Case(Struct, frozen=True):
    """A finding until a run finds it right again, or a person resolves it with a reason."""

    case_id: UUID
    run_id: UUID
    kind: str
    reference: str
    detail: str
    status: CaseStatus
    opened_at: datetime
    resolved_at: datetime | None = None
    payment_id: str = ""
    settlement_id: str = ""
    merchant_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    evidence: Sequence[Evidence] = ()
    # Who works on it; empty for nobody.
    owner: str = ""
    # The person that resolved it and why; empty when a run did.
    resolved_by: str = ""
    resolution: str = ""


class Run(Struct, frozen=True):
    """One run as it is stored: what was compared, the result, and which services did not answer."""

    run_id: UUID
    scope: Scope
    status: RunStatus
    actor: str
    started_at: datetime
    finished_at: datetime | None = None
    envelopes_checked: int = 0
    envelopes_republished: int = 0
    cases_opened: int = 0
    cases_resolved: int = 0
    totals: Mapping[str, int] = {}
    unavailable: Sequence[str] = ()
    payments_checked: int = 0
    settlements_checked: int = 0


class FinishedRun(Struct, frozen=True):
    """When a run came to its end, and the sums that it compared."""

    finished_at: datetime
    totals: Mapping[str, int]


class RunReport(Struct, frozen=True):
    """A finished run, and the cases that are open because of what it found."""

    run: Run
    cases: Sequence[Case]


class Position(Struct, frozen=True):
    """Where a page of runs or cases begins: after the one of this time and id, newest first."""

    at: datetime
    id: UUID


def final_status(unavailable: Collection[str]) -> RunStatus:
    return RunStatus.PARTIAL if unavailable else RunStatus.SUCCEEDED


def parse_case_status(text: str) -> CaseStatus | None:
    """The status in a request: OPEN when nothing is said, None for any. Raises CaseStatusUnknown."""
    if text == "ANY":
        return None
    try:
        return CaseStatus(text or CaseStatus.OPEN)
    except ValueError:
        raise CaseStatusUnknown("there is no such status", status="is OPEN, RESOLVED or ANY") from None
