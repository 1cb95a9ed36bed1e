"""Passes signed webhooks to the sender, as often, as late or as little as the faults in force say."""

import asyncio
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from sandbox.delivery import Message, Sender
from sandbox.faults import Rule


class Signed(msgspec.Struct, frozen=True):
    """A signed webhook and the faults that apply to it."""

    message: Message
    rules: Sequence[Rule] = ()


class Dispatch:
    """Where an announcer's webhooks go."""

    def __init__(self, sender: Sender, random: Random) -> None:
        self._sender = sender
        self._random = random

    def send(self, webhooks: Iterable[Signed]) -> None:
        """Send them without waiting."""
        for each in webhooks:
            copies, delay_ms = self._plan(each)
            for _ in range(copies):
                self._sender.send(each.message, delay_ms)

    async def send_and_wait(self, webhooks: Iterable[Signed]) -> list[int]:
        """Send them at once and wait for the receiver's first answers: HTTP statuses, or 0 without one."""
        messages = [each.message for each in webhooks for _ in range(self._plan(each)[0])]
        return list(await asyncio.gather(*(self._sender.deliver(message) for message in messages)))

    def _plan(self, webhook: Signed) -> tuple[int, int]:
        """How many copies, and after how many milliseconds."""
        if not webhook.message.url:
            return 0, 0
        copies, delay_ms = 1, 0
        for rule in webhook.rules:
            if rule.action == "duplicate":
                copies = max(copies, rule.times)
            elif rule.action == "delay":
                delay_ms += rule.delay_ms
            elif rule.action == "reorder":
                delay_ms += self._random.randint(0, rule.window_ms)
            elif rule.action == "drop":
                self._sender.record_dropped(webhook.message, "dropped by a fault")
                return 0, 0
        return copies, delay_ms
