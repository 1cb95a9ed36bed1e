"""The hash chain against a real Postgres, changed by its superuser, who can do everything but sign and anchor."""

import hashlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from commdesk.ledger.v1 import ledger_pb2 as pb
from commdesk.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from common import ids
from common.clock import FakeClock
from common.database import Database
from common.testing import Served
from ledger.anchors import Anchor
from ledger.domain.blocks import Finding, Kind
from ledger.signing import HeadSigner
from ledger.store import audit_origins
from ledger.store import blocks as store
from ledger.use_cases import blocks, books, verification
from ledger.wire import events as wire
from ledger.wire.audit import audit_recorded

from ..builders import Events

Superuser = asyncpg.Connection


class Chain:
    """The chain of one database: what is booked is sealed and anchored at once unless a test says otherwise."""

    def __init__(self, db: Database, clock: FakeClock, signer: HeadSigner, anchor: Anchor) -> None:
        self.db, self.clock, self.signer, self.anchor = db, clock, signer, anchor
        self.events = Events()

    async def book(self, count: int = 1) -> list[UUID]:
        """Post so many payments, with their grants and an audit record; the journals of the payments."""
        paid = [self.events.paid() for _ in range(count)]
        audited = [self.events.audited() for _ in range(count)]
        async with self.db.begin() as tx:
            financial = [wire.payment_succeeded(event) for event in paid]
            financial += [wire.wallet_credited(self.events.credited()) for _ in paid]
            assert not any(await books.post_journals(tx, financial))
            await books.keep_audit(tx, [audit_recorded(record) for record in audited])
            causes = [each.cause_id for each in financial[:count]]
            rows = await tx.execute(
                "select journal_id from journals where cause_id = any(cast(:causes as uuid[])) order by journal_id",
                causes=causes,
            )
        return rows.scalars()

    async def seal(self, *, anchored: bool = True) -> int:
        self.clock.advance(30)
        made = await blocks.seal_blocks(self.db, self.clock, self.signer)
        if anchored:
            await blocks.anchor_blocks(self.db, self.anchor, self.signer)
        return made

    async def verify(self, from_height: int = 1) -> list[Finding]:
        findings: list[Finding] = []
        height = from_height
        while height:
            part = await verification.verify_blocks(self.db, self.signer, self.anchor, height, 2)
            findings += part.findings
            height = part.next_height
        entries, end = await verification.verify_entries(self.db, UUID(int=0))
        assert end is None
        return findings + entries + (await verification.verify_tail(self.db, self.anchor)).findings

    async def named(self, from_height: int = 1) -> set[tuple[Kind, int, UUID | None, int]]:
        findings = await self.verify(from_height)
        return {(each.kind, each.height, each.subject, each.line) for each in findings}


@pytest_asyncio.fixture
async def chain(db: Database, clock: FakeClock, signing_key: str, anchor_folder: Path) -> Chain:
    await audit_origins.seal_old(db)
    await blocks.begin_epoch(db)
    return Chain(db, clock, HeadSigner(signing_key), Anchor(f"file://{anchor_folder}"))


@pytest_asyncio.fixture
async def superuser(superuser_url: str) -> AsyncIterator[Superuser]:
    """Past every trigger."""
    connection = await asyncpg.connect(superuser_url)
    await connection.execute("set session_replication_role = replica")
    await connection.execute("set search_path = ledger")
    yield connection
    await connection.close()


async def test_what_is_booked_is_sealed_once_and_verifies(chain: Chain) -> None:
    assert await chain.seal() == 0
    await chain.book(3)
    assert await chain.seal() == 1
    assert await chain.seal() == 0
    await chain.book(2)
    assert await chain.seal() == 1
    assert await chain.verify() == []
    part = await verification.verify_blocks(chain.db, chain.signer, chain.anchor, 1, 20)
    assert (part.journals, part.entries, part.audit_entries, part.anchored) == (10, 35, 5, [1, 2])
    tail = await verification.verify_tail(chain.db, chain.anchor)
    assert (tail.unsealed_journals, tail.anchored_to) == (0, 2)


async def test_a_running_transaction_holds_the_horizon(chain: Chain) -> None:
    async with chain.db.begin() as tx:
        await books.post_journals(tx, [wire.payment_succeeded(chain.events.paid())])
        await chain.book(1)
        assert await chain.seal() == 0
    assert await chain.seal() == 1
    assert await chain.verify() == []


async def test_blocks_are_bounded_and_no_transaction_is_split(chain: Chain) -> None:
    for _ in range(6):
        await chain.book(2)
    assert await blocks.seal_blocks(chain.db, chain.clock, chain.signer, rows_max=5) == 6
    assert await chain.verify() == []


# ── What a superuser does ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_changed_entry_is_named(chain: Chain, superuser: Superuser) -> None:
    [_, journal, _] = await chain.book(3)
    await chain.seal()
    await superuser.execute("update ledger_entries set debit = debit + 1 where journal_id = $1 and line = 1", journal)
    assert await chain.named() == {(Kind.CHANGED, 1, journal, 1)}


@pytest.mark.parametrize(
    "change",
    [
        "merchant_id = 'mer_other'", "effective_at = effective_at + interval '1 day'", "template = 'payment.received'",
        "booked_at = booked_at - interval '1 second'", "payment_id = reference", "reverses = reference",
        "actor_id = 'usr_9'", "owner_id = 'usr_9'", "reason = 'none'", "accounted_at = now()",
    ],
)  # fmt: skip
async def test_a_changed_journal_is_named(chain: Chain, superuser: Superuser, change: str) -> None:
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute(f"update journals set {change} where journal_id = $1", journal)
    assert await chain.named() == {(Kind.CHANGED, 1, journal, 0)}


async def test_a_changed_audit_record_is_named(chain: Chain, superuser: Superuser) -> None:
    await chain.book(2)
    await chain.seal()
    audit_id = await superuser.fetchval(
        "update audit_logs set actor_id = 'usr_2' where audit_id = (select audit_id from audit_logs limit 1) "
        "returning audit_id"
    )
    [finding] = await chain.verify()
    assert (finding.kind, finding.subject, finding.is_audit) == (Kind.CHANGED, audit_id, True)


async def test_a_removed_journal_is_named(chain: Chain, superuser: Superuser) -> None:
    [_, journal, _] = await chain.book(3)
    await chain.seal()
    await superuser.execute("delete from ledger_entries where journal_id = $1", journal)
    await superuser.execute("delete from journals where journal_id = $1", journal)
    assert await chain.named() == {(Kind.REMOVED, 1, journal, 0)}


async def test_a_removed_entry_is_named(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute("delete from ledger_entries where journal_id = $1 and line = 2", journal)
    assert await chain.named() == {(Kind.REMOVED, 1, journal, 2)}


async def test_a_deleted_tail_is_named(chain: Chain, superuser: Superuser) -> None:
    """Rows, or rows and the blocks that seal them."""
    await chain.book()
    await chain.seal()
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute("delete from ledger_entries where xid = (select max(xid) from journals)")
    await superuser.execute("delete from journals where xid = (select max(xid) from journals)")
    assert (Kind.REMOVED, 2, journal, 0) in await chain.named()
    await superuser.execute("delete from audit_logs where xid = (select max(xid) from audit_logs)")
    await superuser.execute("delete from anchored_blocks where height = 2")
    await superuser.execute("delete from ledger_blocks where height = 2")
    assert await chain.named() == {(Kind.TRUNCATED, 2, None, 0)}


async def test_a_swapped_pair_of_entries_is_named(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal()
    # A line is part of the key: by way of lines that nobody has.
    for before, after in ((1, 11), (2, 1), (11, 2)):
        await superuser.execute(
            "update ledger_entries set line = $3 where journal_id = $1 and line = $2", journal, before, after
        )
    assert await chain.named() == {(Kind.SWAPPED, 1, journal, 1), (Kind.SWAPPED, 1, journal, 2)}


async def test_a_swapped_pair_of_journals_is_named(chain: Chain, superuser: Superuser) -> None:
    first, second = await chain.book(2)
    await chain.seal()
    for table in ("journals", "ledger_entries"):
        for before, after in ((first, UUID(int=0)), (second, first), (UUID(int=0), second)):
            await superuser.execute(f"update {table} set journal_id = $2 where journal_id = $1", before, after)
    assert await chain.named() == {(Kind.SWAPPED, 1, first, 0), (Kind.SWAPPED, 1, second, 0)}


async def test_an_inserted_journal_is_named(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal()
    await chain.book()
    await chain.seal()
    inserted = UUID(int=journal.int + 1)
    await superuser.execute(
        """insert into journals (journal_id, merchant_id, template, asset, cause_id, reference_prefix, reference, lines,
                                 effective_at, booked_at, xid)
           select $2, merchant_id, template, asset, $2, reference_prefix, reference, lines, effective_at, booked_at, xid
           from journals where journal_id = $1""",
        journal,
        inserted,
    )
    await superuser.execute(
        """insert into ledger_entries (journal_id, line, account_id, debit, credit, xid)
           select $2, line, account_id, debit, credit, xid from ledger_entries where journal_id = $1""",
        journal,
        inserted,
    )
    assert await chain.named() == {(Kind.INSERTED, 1, inserted, 0)}


async def test_an_inserted_entry_is_named(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute(
        "insert into ledger_entries (journal_id, line, account_id, debit, credit) values ($1, 9, 1000, 5, 0)", journal
    )
    assert await chain.named() == {(Kind.INSERTED, 1, journal, 9)}


@pytest.mark.parametrize("column", ["epoch = 99", "xid = '999999999999'"])
async def test_what_no_block_will_ever_seal_is_named(chain: Chain, superuser: Superuser, column: str) -> None:
    await chain.seal()
    [journal] = await chain.book()
    await superuser.execute(f"update journals set {column} where journal_id = $1", journal)
    await chain.seal()
    assert (Kind.INSERTED, 0, journal, 0) in await chain.named()


@pytest.mark.parametrize("column", ["previous = sha256('x')", "head = sha256('x')", "journals = journals + 1",
                                    "sealed_at = now()", "xid_to = '99999999'", "journal_leaves = 'x'"])  # fmt: skip
async def test_a_changed_block_is_named(chain: Chain, superuser: Superuser, column: str) -> None:
    await chain.book()
    await chain.seal()
    await chain.book()
    await chain.seal(anchored=False)
    await superuser.execute(f"update ledger_blocks set {column} where height = 2")
    assert Kind.BLOCK_CHANGED in {kind for kind, height, *_ in await chain.named() if height == 2}


async def test_a_removed_block_is_named(chain: Chain, superuser: Superuser) -> None:
    for _ in range(3):
        await chain.book()
        await chain.seal()
    await superuser.execute("delete from ledger_blocks where height = 2")
    assert (Kind.BLOCK_MISSING, 2, None, 0) in await chain.named()


async def test_a_chain_rebuilt_without_the_key_is_named(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal(anchored=False)
    await superuser.execute("delete from ledger_blocks")
    await superuser.execute("update journals set merchant_id = 'mer_other' where journal_id = $1", journal)
    rebuilt = Chain(chain.db, chain.clock, HeadSigner("A" * 43 + "="), chain.anchor)
    await rebuilt.seal(anchored=False)
    assert await chain.named() == {(Kind.SIGNATURE_INVALID, 1, None, 0)}


async def test_a_rebuilt_chain_is_caught_by_the_anchor(chain: Chain, superuser: Superuser) -> None:
    """Even by somebody who has the key."""
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute("delete from anchored_blocks")
    await superuser.execute("delete from ledger_blocks")
    await superuser.execute("update ledger_entries set debit = debit + 1 where journal_id = $1 and line = 1", journal)
    await chain.seal()
    assert await chain.named() == {(Kind.ANCHOR_DIFFERS, 1, None, 0)}


def objects(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.json"))


async def test_a_head_that_left_the_anchor_is_named(chain: Chain, anchor_folder: Path) -> None:
    for _ in range(2):
        await chain.book()
        await chain.seal()
    objects(anchor_folder)[0].unlink()
    assert await chain.named() == {(Kind.ANCHOR_MISSING, 1, None, 0)}


async def test_the_anchor_is_never_overwritten(chain: Chain, anchor_folder: Path) -> None:
    await chain.book()
    await chain.seal()
    [path] = objects(anchor_folder)
    content = path.read_bytes()
    path.write_bytes(b"mine")
    async with chain.db.begin() as tx:
        [block] = await store.blocks_from(tx, 1, 1)
    assert not await chain.anchor.put(block, chain.signer.public_key)
    assert path.read_bytes() == b"mine" != content


# ── Epochs ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_restored_dump_begins_an_epoch_that_follows_the_old_head(chain: Chain, superuser: Superuser) -> None:
    """The rows keep the transaction ids of the old cluster; those of the new one come again, and are told apart."""
    await chain.book()
    await chain.seal()
    [unsealed] = await chain.book()
    await superuser.execute("update ledger_epochs set cluster = 'elsewhere'")
    await superuser.execute("update ledger_blocks set epoch = 1")
    assert await blocks.begin_epoch(chain.db) == 2
    assert await blocks.begin_epoch(chain.db) == 2
    await chain.book()
    # As if the old cluster had been far ahead: its ids are greater than those of now, and than those to come.
    await superuser.execute("update journals set xid = '999999999999' where journal_id = $1", unsealed)
    assert await chain.seal() == 2
    assert {kind for kind, height, *_ in await chain.named(2)} == set()
    async with chain.db.begin() as tx:
        first, closing, new = await store.blocks_from(tx, 1, 3)
    assert (closing.range.epoch, closing.range.xid_to, closing.contents.journals) == (1, 2**64 - 1, 2)
    assert (new.range.epoch, new.range.xid_from, new.previous) == (2, 0, closing.head)
    assert (first.cluster, new.cluster != "elsewhere") == ("elsewhere", True)
    assert await chain.seal() == 0


# ── The documented encoding ──────────────────────────────────────────────────────────────────────────────────────

UUID_TYPE, TEXT, SMALLINT, INTEGER, BIGINT, BYTES, TIME, XID8 = 2950, 25, 21, 23, 20, 17, 1184, 5069
SINCE_2000 = 946_684_800_000_000


def binary_row(*columns: tuple[int, bytes | None]) -> bytes:
    """PostgreSQL's binary form of a row, as docs/concepts/hash-chain.md has it."""
    row = struct.pack(">i", len(columns))
    for oid, content in columns:
        row += struct.pack(">Ii", oid, -1 if content is None else len(content)) + (content or b"")
    return row


async def test_a_leaf_is_the_documented_one(chain: Chain, superuser: Superuser) -> None:
    [journal] = await chain.book()
    await chain.seal()
    row = await superuser.fetchrow("select *, xid::text as x from journals where journal_id = $1", journal)
    entries = await superuser.fetch(
        "select *, xid::text as x from ledger_entries where journal_id = $1 order by line", journal
    )
    content = b"".join(
        binary_row(
            (SMALLINT, struct.pack(">h", each["line"])),
            (INTEGER, struct.pack(">i", each["account_id"])),
            (BIGINT, struct.pack(">q", each["debit"])),
            (BIGINT, struct.pack(">q", each["credit"])),
            (XID8, struct.pack(">Q", int(each["x"]))),
        )
        for each in entries
    )

    def time(name: str) -> tuple[int, bytes]:
        micros = int(row[name].timestamp() * 1_000_000 + 0.5)
        return TIME, struct.pack(">q", micros - SINCE_2000)

    own = binary_row(
        (TEXT, row["merchant_id"].encode()),
        (TEXT, row["template"].encode()),
        (TEXT, row["asset"].encode()),
        (UUID_TYPE, row["cause_id"].bytes),
        (TEXT, row["reference_prefix"].encode()),
        (UUID_TYPE, row["reference"].bytes),
        (UUID_TYPE, None),
        (SMALLINT, struct.pack(">h", row["lines"])),
        time("effective_at"),
        time("booked_at"),
        (UUID_TYPE, None),
        (XID8, struct.pack(">Q", int(row["x"]))),
        (SMALLINT, struct.pack(">h", row["epoch"])),
        (TEXT, row["actor_id"].encode()),
        (TEXT, row["owner_id"].encode()),
        (TEXT, b""),
        (TIME, None),
        (BYTES, content),
    )
    leaves = await superuser.fetchval("select journal_leaves from ledger_blocks")
    assert hashlib.sha256(own).digest() in leaves


async def test_a_sealed_block_is_announced(ledger: object, chain: Chain, db: Database) -> None:
    await chain.book()
    await chain.seal()
    async with db.begin() as tx:
        rows = await tx.execute("select routing_key from outbox where exchange = 'ledger.exchange'")
    assert rows.scalars() == ["ledger.block.sealed"]


async def test_what_an_operator_asks_names_it_by_its_id(
    ledger: Served, chain: Chain, superuser: Superuser, service_keys: dict[str, str]
) -> None:
    [journal] = await chain.book()
    await chain.seal()
    await superuser.execute("update ledger_entries set debit = debit + 1 where journal_id = $1 and line = 1", journal)
    stub = LedgerServiceStub(ledger.channel("operator"))
    blocks_answer = await stub.VerifyBlocks(pb.VerifyBlocksRequest(), timeout=10)
    [finding] = blocks_answer.findings
    assert (finding.kind, finding.subject, finding.line) == ("changed", ids.encode("jrn", journal), 1)
    assert (blocks_answer.height, list(blocks_answer.anchored_heights), blocks_answer.next_height) == (1, [1], 0)
    entries_answer = await stub.VerifyEntries(pb.VerifyEntriesRequest(), timeout=10)
    assert (list(entries_answer.findings), entries_answer.next_position) == ([], "")
    tail = await stub.VerifyTail(pb.VerifyTailRequest(), timeout=10)
    assert (tail.height, tail.anchored_to, tail.anchor_url.startswith("file://")) == (1, 1, True)
    assert tail.head == blocks_answer.head
