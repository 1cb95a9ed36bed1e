"""What the statements of libs/common do, each on the tables of `store`. A statement that nobody knows is a KeyError."""

import json
from types import SimpleNamespace as Record
from typing import Any

from common import dead_letters, handling, intents, outbox, relay

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
        })  # fmt: skip


async def _mark(tx: Transaction, p: Params) -> None:
    tx.asynchronous = True
    for envelope_id in p["ids"]:
        row = tx.get("outbox", envelope_id)
        if row is not None and row["published_at"] is None:
            await tx.put("outbox", envelope_id, row | {"published_at": tx.started})


async def _lease_rows(tx: Transaction, p: Params) -> Rows:
    found = Rows()
    for key in sorted(key for key in tx.store.due.get("outbox", ()) if p["after"] <= key < p["before"]):
        row = tx.get("outbox", key)
        if row is None or (row["leased_until"] is not None and row["leased_until"] >= tx.started):
            continue
        if len(found) < p["rows"] and tx.try_lock("outbox", key):
            leased = row | {"leased_until": tx.started + p["lease"].total_seconds()}
            tx.writes["outbox", key] = leased
            found.append(Record(**leased))
    return found


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
    found = Rows()
    due = [tx.store.table("intents")[key] for key in tx.store.due.get("intents", ())]
    for row in sorted(due, key=lambda row: row["due_at"]):
        leased = row["leased_until"] is not None and row["leased_until"] >= tx.started
        if row["kind"] != p["kind"] or row["due_at"] > tx.started or leased or len(found) >= p["rows"]:
            continue
        if tx.try_lock("intents", row["intent_id"]):
            taken = row | {
                "leased_until": tx.started + p["lease"].total_seconds(),
                "attempts": row["attempts"] + 1,
            }
            tx.writes["intents", row["intent_id"]] = taken
            found.append(Record(**taken))
    return found


async def _done(tx: Transaction, p: Params) -> Rows:
    marked = Rows()
    for intent_id in p["ids"]:
        row = await tx.lock("intents", intent_id)
        if row is not None and row["done_at"] is None:
            await tx.put("intents", intent_id, row | {"done_at": tx.started, "leased_until": None})
            marked.append((intent_id,))
    return marked


async def _later(tx: Transaction, p: Params) -> None:
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


async def _settle(tx: Transaction, p: Params) -> Rows:
    settled = Rows()
    wanted = {letter_id: source for source, row in tx.scan("dead_letters") for letter_id in [row["dead_letter_id"]]}
    for letter_id in p["ids"]:
        row = await tx.lock("dead_letters", wanted[letter_id])
        if row is not None and row["status"] == "OPEN":
            await tx.put("dead_letters", wanted[letter_id], row | {"status": p["status"]})
            settled.append(Record(**row))
    return settled


STATEMENTS: dict[str, Statement] = {
    outbox._INSERT: _append,
    relay._MARK: _mark,
    relay._LEASE: _lease_rows,
    handling._CLAIM: _claim,
    intents._RECORD: _record,
    intents._LEASE: _lease_intents,
    intents._DONE: _done,
    intents._LATER: _later,
    dead_letters._KEEP: _keep,
    dead_letters._LIST: _list,
    dead_letters._SETTLE: _settle,
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
