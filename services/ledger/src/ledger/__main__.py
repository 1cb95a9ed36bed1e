"""`ledger` or `python -m ledger`: the service as a value, and the process that runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from loguru import logger

from commdesk.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from common import runtime
from common.runtime import Job, Resources, Service
from ledger import consumers, routes
from ledger.anchors import Anchor, AnchorAccess
from ledger.servicer import LedgerServicer
from ledger.settings import Settings
from ledger.signing import HeadSigner
from ledger.store import audit_origins
from ledger.store.personal_data import PERSONAL_DATA
from ledger.use_cases import adjustments, blocks, books, controls

# Once through the log after the upgrade that began to seal; nothing afterwards.
SEAL_OLD_SECONDS = 60
# Sums of closed periods, and proposals that nobody decided about.
CLOSING_SECONDS = 60


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db = resources.db
    signer = HeadSigner(settings.ledger_signing_key.get_secret_value(), settings.ledger_retired_keys)
    anchor = _anchor(settings)
    # Before anything is posted: the epoch distinguishes what another cluster booked.
    await blocks.begin_epoch(db)
    jobs = [
        Job("snapshots", settings.snapshot_seconds, partial(books.take_snapshot, db)),
        Job("seal_old_origins", SEAL_OLD_SECONDS, partial(audit_origins.seal_old, db)),
        Job("seal_blocks", settings.ledger_seal_seconds, partial(blocks.seal_blocks, db, resources.clock, signer)),
    ]
    jobs += [
        Job("closing_balances", CLOSING_SECONDS, partial(controls.keep_closing_balances, db)),
        Job("expire_proposals", CLOSING_SECONDS, partial(adjustments.expire_proposals, db, resources.clock)),
    ]
    if anchor is not None:
        anchoring = partial(blocks.anchor_blocks, db, anchor, signer)
        jobs.append(Job("anchor_blocks", settings.ledger_seal_seconds, anchoring))
    acts = routes.Acts(db, resources.clock, resources.authorizer(settings.identity_address))
    yield Service(
        http=routes.routes(acts),
        grpc=[(add_LedgerServiceServicer_to_server, LedgerServicer(db, resources.clock, signer, anchor))],
        subscriptions=consumers.subscriptions(),
        jobs=jobs,
        timeline=books.timeline,
        totals=books.totals,
        personal_data=PERSONAL_DATA,
    )


def _anchor(settings: Settings) -> Anchor | None:
    if not settings.ledger_anchor_url:
        logger.warning("heads of the chain are not written outside the database: LEDGER_ANCHOR_URL is empty")
        return None
    access = AnchorAccess(
        settings.ledger_anchor_endpoint,
        settings.ledger_anchor_region,
        settings.ledger_anchor_access_key_id,
        settings.ledger_anchor_secret_access_key.get_secret_value(),
    )
    return Anchor(settings.ledger_anchor_url, access)


def main() -> None:
    runtime.main("ledger", Settings, service)


if __name__ == "__main__":
    main()
