"""What the statements of libs/common do, by name, on the tables of `store`. An unknown name is a KeyError."""

import json
from types import SimpleNamespace as Record
from typing import Any

from .store import Row, Rows, Statement, Store, Transaction

Params = dict[str, Any]


async def _append(tx: Transaction, p: Params) -> None:
    columns = ("envelope_ids", "exchanges", "routing_keys", "mandatories", "types", "headers", "bodies")
    for envelope_id, exchange, key, mandatory, name, headers, body in zip(
        *(p[column] for column in columns), strict=True
    ):
        await tx.insert("outbox", envelope_id, {
            "envelope_id": envelope_id, "exchange": exchange, "routing_key": key, "mandatory": mandatory, "type": name,
            "headers": headers and json.loads(headers), "body": body, "leased_until": None, "published_at": None,
            "refused": None,
        })  # fmt: skip


async def _mark(tx: Transaction, p: Params) -> None:
    tx.asynchronous = True
    for envelope_id in p["ids"]:
        row = tx.get("outbox", envelope_id)
        if row is not None and row["published_at"] is None:
            await tx.put("outbox", envelope_id, row | {"published_at": tx.started})


async def _lease_rows(tx: Transaction, p: Params) -> Rows:
    rows = Rows()
    for key in sorted(key for key in tx.store.due.get("outbox", ()) if p["after"] <= key < p["before"]):
        row = tx.get("outbox", key)
        if row is None or (row["leased_until"] is not None and row["leased_until"] >= tx.started):
            continue
        if len(rows) < p["rows"] and tx.try_lock("outbox", key):
            leased = row | {"leased_until": tx.started + p["lease"].total_seconds()}
            tx.writes["outbox", key] = leased
            rows.append(Record(**leased))
    return rows


async def _claim(tx: Transaction, p: Params) -> Rows:
    return Rows([
        (envelope_id,)
        for envelope_id in p["ids"]
        if await tx.insert("inbox", (envelope_id, p["consumer"]), {"at": tx.started})
    ])  # fmt: skip


async def _record(tx: Transaction, p: Params) -> None:
    for intent_id, payload in zip(p["ids"], p["payloads"], strict=True):
        await tx.insert("intents", intent_id, {
            "intent_id": intent_id, "kind": p["kind"], "payload": payload, "attempts": int(p["leased"]),
            "due_at": tx.started, "done_at": None,
            "leased_until": tx.started + p["lease"].total_seconds() if p["leased"] else None,
        })  # fmt: skip


async def _lease_intents(tx: Transaction, p: Params) -> Rows:
    return _take_due_intents(tx, p, heeds_leases=True)


async def _take_intents(tx: Transaction, p: Params) -> Rows:
    return _take_due_intents(tx, p, heeds_leases=False)


def _take_due_intents(tx: Transaction, p: Params, *, heeds_leases: bool) -> Rows:
    rows = Rows()
    due = [tx.store.table("intents")[key] for key in tx.store.due.get("intents", ())]
    for row in sorted(due, key=lambda row: row["due_at"]):
        leased = heeds_leases and row["leased_until"] is not None and row["leased_until"] >= tx.started
        if row["kind"] != p["kind"] or row["due_at"] > tx.started or leased or len(rows) >= p["rows"]:
            continue
        if tx.try_lock("intents", row["intent_id"]):
            taken = row | {
                "leased_until": tx.started + p["lease"].total_seconds() if heeds_leases else row["leased_until"],
                "attempts": row["attempts"] + 1,
            }
            tx.writes["intents", row["intent_id"]] = taken
            rows.append(Record(**taken))
    return rows


async def _done(tx: Transaction, p: Params) -> Rows:
    marked = Rows()
    for intent_id in p["ids"]:
        row = await tx.lock("intents", intent_id)
        if row is not None and row["done_at"] is None:
            await tx.put("intents", intent_id, row | {"done_at": tx.started, "leased_until": None})
            marked.append((intent_id,))
    return marked


async def _reschedule(tx: Transaction, p: Params) -> None:
    row = await tx.lock("intents", p["id"])
    if row is not None and row["done_at"] is None:
        due = tx.started + p["pause"].total_seconds()
        await tx.put("intents", p["id"], row | {"due_at": due, "leased_until": None})


async def _keep(tx: Transaction, p: Params) -> Rows:
    kept = Rows()
    columns = ("ids", "sources", "queues", "types", "events", "producers", "codes", "classes", "attempts")
    for letter_id, source, queue, name, event, producer, code, kind, attempts in zip(
        *(p[c] for c in columns), strict=True
    ):
        row = {
            "dead_letter_id": letter_id, "source_id": source, "queue": queue, "type": name, "event": event,
            "producer": producer, "error_code": code, "error_class": kind, "attempts": attempts, "status": "OPEN",
        }  # fmt: skip
        if await tx.insert("dead_letters", source, row):
            kept.append(Record(**row))
    return kept


async def _list(tx: Transaction, p: Params) -> Rows:
    return Rows(Record(**row) for _, row in tx.scan("dead_letters") if row["status"] == p["status"])


async def _close(tx: Transaction, p: Params) -> Rows:
    closed = Rows()
    sources = {letter_id: source for source, row in tx.scan("dead_letters") for letter_id in [row["dead_letter_id"]]}
    for letter_id in p["ids"]:
        row = await tx.lock("dead_letters", sources[letter_id])
        if row is not None and row["status"] == "OPEN":
            await tx.put("dead_letters", sources[letter_id], row | {"status": p["status"]})
            closed.append(Record(**row))
    return closed


STATEMENTS: dict[str, Statement] = {
    "outbox.insert": _append,
    "outbox.mark": _mark,
    "outbox.lease": _lease_rows,
    "inbox.claim": _claim,
    "intents.record": _record,
    "intents.lease": _lease_intents,
    "intents.take_unleased": _take_intents,
    "intents.done": _done,
    "intents.reschedule": _reschedule,
    "dead_letters.keep": _keep,
    "dead_letters.list": _list,
    "dead_letters.close": _close,
}


def _unpublished(row: Row) -> bool:
    return row["published_at"] is None


def _undone(row: Row) -> bool:
    return row["done_at"] is None


def store(name: str, now: Any) -> Store:
    """An empty schema with the tables and partial indexes of libs/common."""
    made = Store(name, now, STATEMENTS)
    made.index = {"outbox": _unpublished, "intents": _undone}
    return made
