"""The log of requests that came with an API key: each service's own, written in batches, kept for 30 days.

A merchant reads it to see what its servers sent and what became of it (GET /api/v1/logs/requests). It holds no body:
the SHA-256 of the body without its secrets and personal data says whether two requests were the same.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from loguru import logger
from msgspec import Struct

from common import ids, redaction, telemetry
from common.database import Database, Tx
from common.pages import LIMIT_MAX

# How often what came is written; a process that dies loses this much of the log.
WRITE_SECONDS: Final = 1.0
# Entries that wait. Beyond it the newest are dropped and counted: the log must not take the memory of the requests.
WAITING_MAX: Final = 10_000
# One more than a page of the API has, which says whether there is another.
PAGE_MAX: Final = LIMIT_MAX + 1
# Of what a log is searched by.
TEXT_LENGTH_MAX: Final = 200
KEEP: Final = timedelta(days=30)

_dropped = telemetry.counter("request_log_dropped_total", "Requests that the request log of merchants lacks")

_INSERT: Final = """
insert into api_requests (request_log_id, merchant_id, api_key_id, method, path, status, duration_micros, request_id,
                          error_code, body_hash)
select * from unnest(
    cast(:ids as uuid[]), cast(:merchants as text[]), cast(:keys as text[]), cast(:methods as text[]),
    cast(:paths as text[]), cast(:statuses as smallint[]), cast(:durations as bigint[]), cast(:requests as text[]),
    cast(:codes as text[]), cast(:hashes as bytea[]))
on conflict do nothing
"""
_PAGE: Final = """
select * from api_requests
where merchant_id = :merchant_id
  and request_log_id < coalesce(cast(:before as uuid), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  and request_log_id >= coalesce(cast(:from_id as uuid), '00000000-0000-0000-0000-000000000000')
  and (cast(:api_key_id as text) = '' or api_key_id = :api_key_id)
  and (cast(:method as text) = '' or method = :method)
  and (cast(:path as text) = '' or path = :path)
  and (cast(:request_id as text) = '' or request_id = :request_id)
  and status between :status_min and :status_max
order by request_log_id desc limit :limit
"""


class LoggedRequest(Struct, frozen=True):
    """One request. *path* is the route's template, *error_code* "" when it went well."""

    request_log_id: UUID
    merchant_id: str
    api_key_id: str
    method: str
    path: str
    status: int
    duration_micros: int
    request_id: str
    error_code: str
    body_hash: bytes | None


class Filter(Struct, frozen=True):
    """Which requests of a merchant; what is empty filters nothing."""

    merchant_id: str
    before: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    api_key_id: str = ""
    method: str = ""
    path: str = ""
    request_id: str = ""
    status_min: int = 0
    status_max: int = 999


class RequestLog:
    """Takes entries without waiting; `write` stores them."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[LoggedRequest, Any]] = []

    def add(self, entry: LoggedRequest, body: object) -> None:
        """*body* is the decoded one, None without; what is kept of it is a hash."""
        if len(self._waiting) >= WAITING_MAX:
            _dropped.of().inc()
            return
        self._waiting.append((entry, body))

    async def write(self) -> None:
        """Store what waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        entries = [msgspec.structs.replace(entry, body_hash=body_hash(body)) for entry, body in waiting]
        try:
            async with self._db.begin() as tx:
                await insert(tx, entries)
        except BaseException:
            # The next turn tries them again, in front of what came meanwhile.
            self._waiting = (waiting + self._waiting)[:WAITING_MAX]
            raise


def body_hash(body: object) -> bytes | None:
    """SHA-256 of *body* as JSON in canonical order, without what must not be logged; None without a body."""
    if body is None:
        return None
    try:
        plain = redaction.mask(msgspec.to_builtins(body), depth=16)
    except (TypeError, ValueError, RecursionError):
        logger.error("a body of {} is not for the request log", type(body).__name__)
        return None
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).digest()


async def insert(tx: Tx, entries: Sequence[LoggedRequest]) -> None:
    await tx.execute(
        _INSERT,
        ids=[each.request_log_id for each in entries],
        merchants=[each.merchant_id for each in entries],
        keys=[each.api_key_id for each in entries],
        methods=[each.method for each in entries],
        paths=[each.path for each in entries],
        statuses=[each.status for each in entries],
        durations=[each.duration_micros for each in entries],
        requests=[each.request_id for each in entries],
        codes=[each.error_code for each in entries],
        hashes=[each.body_hash for each in entries],
    )


async def page(tx: Tx, wanted: Filter, limit: int) -> list[LoggedRequest]:
    """The newest first."""
    before = wanted.before
    if wanted.until is not None:
        until = ids.lower_bound(wanted.until)
        before = until if before is None else min(before, until)
    found = await tx.execute(
        _PAGE,
        merchant_id=wanted.merchant_id,
        before=before,
        from_id=None if wanted.since is None else ids.lower_bound(wanted.since),
        api_key_id=wanted.api_key_id,
        method=wanted.method,
        path=wanted.path,
        request_id=wanted.request_id,
        status_min=wanted.status_min,
        status_max=wanted.status_max,
        limit=limit,
    )
    return [
        LoggedRequest(
            row.request_log_id,
            row.merchant_id,
            row.api_key_id,
            row.method,
            row.path,
            row.status,
            row.duration_micros,
            row.request_id,
            row.error_code,
            None if row.body_hash is None else bytes(row.body_hash),
        )
        for row in found
    ]
