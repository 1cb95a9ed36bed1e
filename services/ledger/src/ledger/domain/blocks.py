"""Blocks of the hash chain: how they are hashed, and what in the book does not agree with them. Pure.

A leaf stands for a row: its id, and the SHA-256 of PostgreSQL's binary form of the row's other columns (docs/concepts/
hash-chain.md). The leaf of a journal covers its entries, and holds a marker of each, so that it can be said which of
them changed. A head is the SHA-256 of a text that names the head before, the range, the counts and the digests of the
leaves.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct

from common.events import micros

# Version of the encoding: changes when a leaf covers other columns.
ENCODING = 1
NO_HEAD = bytes(32)
# The end of a range that nothing follows: transaction ids are 64 bits.
XID_END = 2**64 - 1

_ID_BYTES, _DIGEST_BYTES, _COUNT_BYTES, _MARKER_BYTES = 16, 32, 2, 8


class Range(Struct, frozen=True):
    """The transactions whose rows one block seals: of one epoch, from *xid_from* up to, not including, *xid_to*."""

    epoch: int
    xid_from: int
    xid_to: int


class Contents(Struct, frozen=True):
    """What a block seals."""

    journals: int
    entries: int
    audit_entries: int
    journal_leaves: bytes
    audit_leaves: bytes


class Block(Struct, frozen=True):
    """One block of the chain, as it is kept."""

    height: int
    cluster: str
    range: Range
    previous: bytes
    head: bytes
    contents: Contents
    sealed_at: datetime
    signature: bytes
    key_id: str


class Leaf(Struct, frozen=True):
    """One row of the book: *markers* are those of a journal's entries, by their lines."""

    id: UUID
    digest: bytes
    markers: Mapping[int, bytes] = {}


def head_of(height: int, cluster: str, range: Range, previous: bytes, contents: Contents, sealed_at: datetime) -> bytes:
    """The hash of a block: over everything in it, and the head of the block before."""
    lines = (
        "commdesk-ledger-block",
        str(ENCODING),
        str(height),
        previous.hex(),
        cluster,
        str(range.epoch),
        str(range.xid_from),
        str(range.xid_to),
        str(contents.journals),
        str(contents.entries),
        str(contents.audit_entries),
        hashlib.sha256(contents.journal_leaves).hexdigest(),
        hashlib.sha256(contents.audit_leaves).hexdigest(),
        str(micros(sealed_at)),
    )
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).digest()


def signed_text(cluster: str, height: int, head: bytes) -> bytes:
    """What a signature of a head covers."""
    return f"{cluster}:{height}:{head.hex()}".encode()


def journal_leaves(content: bytes) -> Iterator[Leaf]:
    """The leaves in *content*, by id. Raises ValueError when it is cut off."""
    at = 0
    while at < len(content):
        fixed = at + _ID_BYTES + _DIGEST_BYTES
        first = fixed + _COUNT_BYTES
        end = first + _MARKER_BYTES * int.from_bytes(content[fixed:first])
        if end > len(content):
            raise ValueError("the leaves are cut off")
        yield Leaf(
            UUID(bytes=content[at : at + _ID_BYTES]), content[at + _ID_BYTES : fixed], markers(content[first:end])
        )
        at = end


def markers(content: bytes) -> dict[int, bytes]:
    """By line, from 1 on, the markers that stand in *content* one after the other."""
    starts = range(0, len(content), _MARKER_BYTES)
    return {line: content[start : start + _MARKER_BYTES] for line, start in enumerate(starts, start=1)}


def audit_leaves(content: bytes) -> Iterator[Leaf]:
    """The leaves in *content*, by id."""
    size = _ID_BYTES + _DIGEST_BYTES
    for at in range(0, len(content), size):
        yield Leaf(UUID(bytes=content[at : at + _ID_BYTES]), content[at + _ID_BYTES : at + size])


def tail_of(last: Block | None) -> Range:
    """What follows *last*: the rest of its epoch, or the next epoch when its own is over."""
    if last is None:
        return Range(1, 0, XID_END)
    if last.range.xid_to == XID_END:
        return Range(last.range.epoch + 1, 0, XID_END)
    return Range(last.range.epoch, last.range.xid_to, XID_END)


class Kind(StrEnum):
    """What is wrong."""

    # Of a row that a block seals.
    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    # Of a block.
    BLOCK_CHANGED = "block_changed"
    BLOCK_MISSING = "block_missing"
    SIGNATURE_INVALID = "signature_invalid"
    # Between the chain and its anchor.
    ANCHOR_DIFFERS = "anchor_differs"
    ANCHOR_MISSING = "anchor_missing"
    TRUNCATED = "truncated"


class Finding(Struct, frozen=True):
    """One thing that is wrong: in which block, about which row (its id outside, "" for the block) and line of it."""

    kind: Kind
    height: int
    detail: str
    subject: UUID | None = None
    is_audit: bool = False
    line: int = 0


def chain_findings(before: Block | None, block: Block) -> Iterator[Finding]:
    """What is wrong with *block* itself, which follows *before*."""
    if block.height > 1 and (before is None or before.height != block.height - 1):
        first = before.height + 1 if before else 1
        yield Finding(Kind.BLOCK_MISSING, first, f"blocks {first} to {block.height - 1} are not there")
    elif block.previous != (before.head if before else NO_HEAD):
        yield Finding(Kind.BLOCK_CHANGED, block.height, "it does not follow the head of the block before")
    if not _continues(before, block.range):
        yield Finding(Kind.BLOCK_CHANGED, block.height, "its range does not begin where the block before ends")
    head = head_of(block.height, block.cluster, block.range, block.previous, block.contents, block.sealed_at)
    if head != block.head:
        yield Finding(Kind.BLOCK_CHANGED, block.height, "its head is not the hash of what stands in it")


def _continues(before: Block | None, range: Range) -> bool:
    tail = tail_of(before)
    return (range.epoch, range.xid_from) == (tail.epoch, tail.xid_from)


def row_findings(height: int, sealed: Iterable[Leaf], present: Iterable[Leaf], *, is_audit: bool) -> list[Finding]:
    """What in the book is not as it was sealed; both by id."""
    findings: list[Finding] = []
    changed: list[tuple[Leaf, Leaf]] = []
    rows = iter(present)
    row = next(rows, None)
    for leaf in sealed:
        while row is not None and row.id.int < leaf.id.int:
            findings.append(_inserted(height, row, is_audit))
            row = next(rows, None)
        if row is None or row.id != leaf.id:
            findings.append(Finding(Kind.REMOVED, height, "it is not in the book any more", leaf.id, is_audit))
            continue
        if row.digest != leaf.digest or row.markers != leaf.markers:
            changed.append((leaf, row))
        row = next(rows, None)
    while row is not None:
        findings.append(_inserted(height, row, is_audit))
        row = next(rows, None)
    return findings + _changes(height, changed, is_audit)


def _inserted(height: int, row: Leaf, is_audit: bool) -> Finding:
    return Finding(Kind.INSERTED, height, "it was not in the book when its block was sealed", row.id, is_audit)


def _changes(height: int, changed: Sequence[tuple[Leaf, Leaf]], is_audit: bool) -> list[Finding]:
    digests = {row.digest: row.id for _, row in changed}
    changes = [change for sealed, present in changed for change in _line_changes(sealed, present)]
    moved = {(change.sealed, change.present): (change.id, change.line) for change in changes if change.is_pair}
    findings = []
    for sealed, present in changed:
        other = digests.get(sealed.digest)
        if other is not None and other != sealed.id:
            findings.append(
                Finding(Kind.SWAPPED, height, f"its content stands under the id {other}", sealed.id, is_audit)
            )
            continue
        lines = _line_changes(sealed, present)
        if not lines:
            what = (
                "a column of it changed" if is_audit else "its own row changed, or a column of an entry that is no sum"
            )
            findings.append(Finding(Kind.CHANGED, height, what, sealed.id, is_audit))
        for change in lines:
            partner = moved.get((change.present, change.sealed)) if change.is_pair else None
            if partner is not None and partner != (change.id, change.line):
                what = f"its amounts stand in line {partner[1]} of {partner[0]}"
                findings.append(Finding(Kind.SWAPPED, height, what, sealed.id, line=change.line))
            else:
                findings.append(change.finding(height))
    return findings


class _LineChange(Struct, frozen=True):
    id: UUID
    line: int
    sealed: bytes | None
    present: bytes | None

    @property
    def is_pair(self) -> bool:
        return self.sealed is not None and self.present is not None

    def finding(self, height: int) -> Finding:
        if self.is_pair:
            kind, detail = Kind.CHANGED, "its account or its amount changed"
        elif self.sealed is None:
            kind, detail = Kind.INSERTED, "this entry was not there when its block was sealed"
        else:
            kind, detail = Kind.REMOVED, "this entry is not in the book any more"
        return Finding(kind, height, detail, self.id, line=self.line)


def _line_changes(sealed: Leaf, present: Leaf) -> list[_LineChange]:
    """The entries of a journal that are not as they were."""
    return [
        _LineChange(sealed.id, line, sealed.markers.get(line), present.markers.get(line))
        for line in sorted(sealed.markers.keys() | present.markers.keys())
        if sealed.markers.get(line) != present.markers.get(line)
    ]


class Anchored(Struct, frozen=True):
    """A head as it stands in the anchor."""

    height: int
    head: bytes


def anchor_findings(
    blocks: Sequence[Block], anchored: Iterable[Anchored], recorded: frozenset[int] = frozenset()
) -> list[Finding]:
    """What the anchor says of *blocks* that the chain does not; *recorded* are the heights that were anchored once."""
    heads: dict[int, set[bytes]] = {}
    for each in anchored:
        heads.setdefault(each.height, set()).add(each.head)
    findings = []
    for block in blocks:
        there = heads.get(block.height)
        if there is None:
            if block.height in recorded:
                what = "its head was written to the anchor and is not there any more"
                findings.append(Finding(Kind.ANCHOR_MISSING, block.height, what))
        elif there != {block.head}:
            other = min((there - {block.head}), key=bytes.hex)
            what = f"the anchor holds the head {other.hex()}, the chain {block.head.hex()}: the chain was rebuilt"
            findings.append(Finding(Kind.ANCHOR_DIFFERS, block.height, what))
    return findings
