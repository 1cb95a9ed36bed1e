"""`ledger` or `python -m ledger`: the service as a value, and the process that runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from commdesk.ledger.v1.ledger_pb2_grpc import add_LedgerServiceServicer_to_server
from common import runtime
from common.runtime import Job, Resources, Service
from ledger import consumers
from ledger.servicer import LedgerServicer
from ledger.settings import Settings
from ledger.store import audit_origins
from ledger.store.personal_data import PERSONAL_DATA
from ledger.use_cases import books

# Once through the log after the upgrade that began to seal; nothing afterwards.
SEAL_OLD_SECONDS = 60


@asynccontextmanager
async def service(settings: Settings, resources: Resources) -> AsyncIterator[Service]:
    db = resources.db
    yield Service(
        grpc=[(add_LedgerServiceServicer_to_server, LedgerServicer(db))],
        subscriptions=consumers.subscriptions(),
        jobs=[
            Job("snapshots", settings.snapshot_seconds, partial(books.take_snapshot, db)),
            Job("seal_old_origins", SEAL_OLD_SECONDS, partial(audit_origins.seal_old, db)),
        ],
        timeline=books.timeline,
        totals=books.totals,
        personal_data=PERSONAL_DATA,
    )


def main() -> None:
    runtime.main("ledger", Settings, service)


if __name__ == "__main__":
    main()
