"""What waits and what is done, for whoever tests against a test installation."""

from common.database import Database
from common.errors import NotFound
from payment.store import job_counts
from payment.wire import jobs
from payment.wire.jobs import JobsView


class TestModeOff(NotFound):
    """This says how much is going on here, to anybody: only where TEST_MODE is set."""

    fix = "Set TEST_MODE=true in an installation for tests, or read the metrics of the queues."


async def job_status(db: Database, *, test_mode: bool) -> JobsView:
    """Raises TestModeOff."""
    if not test_mode:
        raise TestModeOff("TEST_MODE is off")
    async with db.begin() as tx:
        return jobs.view(await job_counts.job_counts(tx))
