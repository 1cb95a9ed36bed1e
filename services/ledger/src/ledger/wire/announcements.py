"""Events out: what the ledger announces."""

from commdesk.ledger.v1 import ledger_pb2 as pb
from common.events import head
from ledger.domain.blocks import Block


def block_sealed(block: Block) -> pb.LedgerBlockSealed:
    """The head of a new block, signed."""
    return pb.LedgerBlockSealed(
        **head(block.sealed_at),
        epoch=block.cluster,
        height=block.height,
        head=block.head.hex(),
        entries=block.contents.entries,
        audit_entries=block.contents.audit_entries,
        signature=block.signature.hex(),
        key_id=block.key_id,
    )
