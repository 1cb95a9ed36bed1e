"""Runs, what they find, and the cases that findings become."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from common.errors import Conflict


class Scope(StrEnum):
    DELIVERIES = "DELIVERIES"
    ALL = "ALL"


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    # Some services did not answer: what they would have said is not known.
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class CaseStatus(StrEnum):
    OPEN = "OPEN"
    RESOLVED = "RESOLVED"


class RunInProgress(Conflict):
    """Another run is at work; there is one at a time."""

    fix = "Wait for the run that is at work, then start another if it is still needed."


class Finding(NamedTuple):
    """What must be an open case while it is so."""

    kind: str
    reference: str
    detail: str


@dataclass(frozen=True, slots=True)
class Case:
    case_id: UUID
    run_id: UUID
    kind: str
    reference: str
    detail: str
    status: CaseStatus
    opened_at: datetime
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it is kept: what was looked at, what came of it, and who could not be asked."""

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
    totals: Mapping[str, int] = field(default_factory=dict)
    unasked: Sequence[str] = ()


def outcome(unasked: Collection[str]) -> RunStatus:
    return RunStatus.PARTIAL if unasked else RunStatus.SUCCEEDED
