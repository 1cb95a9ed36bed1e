"""What a person does with a case: look, note, take it, resolve it with a reason."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from common.errors import FailedPrecondition, NotFound
from reconciler.domain.runs import Case

# Of one case; what is more belongs in a ticket.
NOTES_MAX: Final = 200


class CaseNotFound(NotFound):
    """There is no such case."""

    fix = "List the cases at GET /api/v1/reconciliation/cases."


class CaseClosed(FailedPrecondition):
    """The case is resolved; it can be noted on, not changed."""

    fix = "Read the case: a run may have closed it. The difference opens a new one if it is back."


class CaseNotRerunnable(FailedPrecondition):
    """The case is about the sums of all payments, or about deliveries, not about one payment or settlement."""

    fix = "Start a full run at POST /api/v1/reconciliation/runs."


class CaseNotesTooMany(FailedPrecondition):
    """The case has as many notes as it may have."""

    fix = "Continue in a ticket, and name it in the resolution."


class Note(Struct, frozen=True):
    note_id: UUID
    author: str
    text: str
    created_at: datetime


class CaseFile(Struct, frozen=True):
    """A case with its notes, oldest first, and the earlier cases about the same."""

    case: Case
    notes: Sequence[Note]
    history: Sequence[Case]


def age_days(case: Case, now: datetime) -> int:
    """Whole days from opening to resolution, or to *now*."""
    return ((case.resolved_at or now) - case.opened_at) // timedelta(days=1)


class OpenCases(Struct, frozen=True):
    """Open cases of one kind, age and currency. *age* is 0-2, 3-7, 8-30 or 31+ days."""

    kind: str
    age: str
    currency: str
    number: int
    amount_minor: int


AGES: Final = ("0-2", "3-7", "8-30", "31+")
