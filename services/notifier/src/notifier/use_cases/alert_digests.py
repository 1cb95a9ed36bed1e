"""Alerts are mailed to the operators: the first of a cause at once, the others as one summary for each window."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from common import ids
from common.clock import Clock
from common.database import Database, Tx, retried
from notifier.domain import alert_digests
from notifier.domain.alert_digests import Alert, Step
from notifier.store import commands
from notifier.use_cases.mail_queue import MailQueue

# Causes whose window one run of the schedule ends.
CAUSES_MAX = 200


class AlertDigests:
    """The digests of all causes, for these *operators*."""

    def __init__(self, queue: MailQueue, clock: Clock, operators: Sequence[str], window: timedelta) -> None:
        self._queue = queue
        self._clock = clock
        self._operators = operators
        self._window = window

    async def absorb_alerts(self, tx: Tx, alerts: Sequence[Alert]) -> None:
        """Mail the first alert of each cause at once, count the others for the summary."""
        by_cause: dict[str, list[Alert]] = {}
        for alert in alerts:
            by_cause.setdefault(alert.cause, []).append(alert)
        digests = await commands.lock_digests(tx, by_cause)
        now, window = self._clock.now(), self._window
        steps = {cause: alert_digests.absorb(digests[cause], group, now, window) for cause, group in by_cause.items()}
        await self._save(tx, steps)

    async def close_windows(self, db: Database) -> None:
        """Mail the summaries of the windows that are over."""

        @retried
        async def close(db: Database) -> None:
            async with db.begin() as tx:
                now = self._clock.now()
                digests = await commands.lock_ended_windows(tx, now, CAUSES_MAX)
                await self._save(
                    tx, {digest.cause: alert_digests.close(digest, now, self._window) for digest in digests}
                )

        await close(db)

    async def _save(self, tx: Tx, steps: Mapping[str, Step]) -> None:
        if not steps:
            return
        await commands.save_digests(tx, {cause: step.digest for cause, step in steps.items()})
        mails = [
            alert_digests.alert_mail(step.notice, operator, self._window, ids.new())
            for step in steps.values()
            if step.notice is not None
            for operator in self._operators
        ]
        await self._queue.queue_mails(tx, mails)
