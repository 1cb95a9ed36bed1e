"""What HTTP requests may hold."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta

from common import ids
from common.errors import RequestInvalid
from common.events import bounded_micros, micros
from common.http_server import Body, Query
from common.pages import PageQuery, decode_cursor
from common.texts import Reason
from ledger.domain.adjustments import (
    JOURNALS_MAX,
    LINES_MAX,
    EventUnknown,
    ManualBatch,
    ManualJournal,
    ManualLine,
    batch_id_of,
)
from ledger.domain.audit import AuditFilter
from ledger.domain.chart import ACCOUNTS
from ledger.domain.controls import AccountNotFound
from ledger.domain.journals import TEMPLATES, FinancialEvent
from ledger.domain.statements import Position, StatementFilter

AwareTime = Annotated[datetime, Meta(tz=True)]
AccountCode = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[a-z_:]+$", examples=["asset:bank"])]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+\Z")]
Amount = Annotated[int, Meta(ge=0, le=10**15, description="In minor units of the currency, or in credits.")]
# What a list goes back to unless it is asked for more.
DEFAULT_SPAN: Final = timedelta(days=31)


class AtQuery(Query, frozen=True):
    """At which instant; now unless given."""

    at: Annotated[AwareTime, Meta(description="What counts before it. Now unless given.")] | None = None


class PagesQuery(PageQuery, frozen=True):
    """A list without filters."""


class JournalsQuery(PageQuery, frozen=True):
    """Journals, booked last first."""

    template: Name | None = None


class EntriesQuery(PageQuery, frozen=True, rename={"since": "from", "until": "to", "owner_id": "ownerId"}):
    """Entries in the order in which they were booked. `from` is included, `to` is not; the last 31 days unless given.
    A page may hold fewer than `limit` and still have a next one."""

    account: AccountCode | None = None
    owner_id: Name | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None


class AuditQuery(
    PageQuery,
    frozen=True,
    rename={"since": "from", "until": "to", "actor_id": "actorId", "resource_id": "resourceId"},
):
    """Audit records, newest first. `from` is included, `to` is not."""

    actor_id: Name | None = None
    resource_id: Name | None = None
    action: Name | None = None
    since: AwareTime | None = None
    until: AwareTime | None = None


class ReasonBody(Body, frozen=True):
    """Why it is done."""

    reason: Reason


class ClosePeriodBody(Body, frozen=True):
    """Close everything that counts before *until*."""

    until: Annotated[AwareTime, Meta(description="The end of the period, which is over.")]
    reason: Reason


class LineBody(Body, frozen=True):
    """One line; exactly one of the two amounts is above zero."""

    account: AccountCode
    debit: Amount = 0
    credit: Amount = 0


class ManualJournalBody(Body, frozen=True):
    """A journal whose lines come to zero in one asset."""

    lines: Annotated[list[LineBody], Meta(min_length=2, max_length=LINES_MAX)]
    reason: Reason
    effective_at: AwareTime | None = None
    owner_id: Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9._:-]*\Z")] = ""


class ManualBatchBody(Body, frozen=True):
    """Journals that are posted all or none, once for each key."""

    key: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+\Z")]
    journals: Annotated[list[ManualJournalBody], Meta(min_length=1, max_length=JOURNALS_MAX)]
    reason: Reason


class EventPreviewBody(Body, frozen=True):
    """An event, and its amounts by the names that its templates use."""

    event: Annotated[str, Meta(max_length=64, examples=["payment.success"])]
    amounts: Annotated[
        dict[str, Annotated[int, Meta(ge=-(10**15), le=10**15)]], Meta(max_length=20, examples=[{"taken": 50000}])
    ]
    gateway: Annotated[str, Meta(max_length=32)] = ""
    currency: Annotated[str, Meta(max_length=3)] = "INR"


def account_number(code: str) -> int:
    """Raises AccountNotFound."""
    if code not in ACCOUNTS:
        raise AccountNotFound("there is no such account")
    return ACCOUNTS[code].number


def statement_filter(query: EntriesQuery, merchant_id: str, now: datetime) -> StatementFilter:
    """Raises CursorInvalid, AccountNotFound."""
    until = query.until or now
    after = Position(*decode_cursor(query.cursor, UUID, int)) if query.cursor else None
    if after is not None and not 0 <= after.line <= 32_767:
        raise RequestInvalid("the cursor is not one of this list", cursor="is not known")
    return StatementFilter(
        merchant_id,
        query.since or until - DEFAULT_SPAN,
        until,
        query.limit,
        account_number(query.account) if query.account else None,
        query.owner_id,
        after,
    )


def audit_filter(query: AuditQuery, merchant_id: str) -> AuditFilter:
    """One more than the page has. Raises CursorInvalid."""
    return AuditFilter(
        query.limit + 1,
        resource_id=query.resource_id,
        actor_id=query.actor_id,
        merchant_id=merchant_id,
        action=query.action,
        since=query.since,
        until=query.until,
        before=decode_cursor(query.cursor, UUID)[0] if query.cursor else None,
    )


def manual_batch(body: ManualBatchBody, merchant_id: str, actor_id: str, now: datetime) -> ManualBatch:
    """Raises TimeOutOfRange. A journal without a date is of the day on which it is proposed."""
    for journal in body.journals:
        if journal.effective_at is not None:
            bounded_micros(micros(journal.effective_at))
    journals = [
        ManualJournal(
            journal.effective_at,
            [ManualLine(line.account, line.debit, line.credit) for line in journal.lines],
            journal.reason,
            journal.owner_id,
        )
        for journal in body.journals
    ]
    return ManualBatch(batch_id_of(merchant_id, body.key), merchant_id, body.key, journals, actor_id, body.reason, now)


def previewed_event(body: EventPreviewBody, merchant_id: str, actor_id: str, now: datetime) -> FinancialEvent:
    """Raises EventUnknown. Amounts that are left out are zero."""
    templates = TEMPLATES.get(body.event)
    if templates is None:
        raise EventUnknown("no template books this event")
    names = {name for template in templates for line in template.lines for name in line.amounts}
    if unknown := body.amounts.keys() - names:
        raise RequestInvalid("the templates do not use an amount", amounts=f"{', '.join(sorted(unknown))[:100]}")
    amounts = {name: body.amounts.get(name, 0) for name in names}
    cause = ids.new()
    return FinancialEvent(
        body.event, cause, merchant_id, "pay", cause, None, micros(now), body.gateway, body.currency, amounts, actor_id
    )
