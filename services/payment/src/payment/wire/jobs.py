"""The status of jobs as S003 has it: three queues of jobs, whatever carries them out here."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from common.database import Row

# What S003 calls the job of each queue. Here an intent's worker makes orders and refunds, a consumer reads webhooks.
JOBS: Final[Mapping[str, str]] = {
    "payments": "ProcessPaymentJob",
    "webhooks": "ProcessWebhookJob",
    "refunds": "ProcessRefundJob",
}


class QueueView(msgspec.Struct, frozen=True):
    """*completed* and *failed* of payments are those of the last day."""

    job: str
    pending: int
    processing: int
    completed: int
    failed: int


class JobsView(msgspec.Struct, frozen=True, rename="camel"):
    """*workerStatus*: the process that answers works on these queues itself."""

    payments: QueueView
    webhooks: QueueView
    refunds: QueueView
    worker_status: str = "running"


def view(rows: Iterable[Row]) -> JobsView:
    queues = {
        row.queue: QueueView(JOBS[row.queue], row.pending, row.processing, row.completed, row.failed) for row in rows
    }
    return JobsView(queues["payments"], queues["webhooks"], queues["refunds"])
