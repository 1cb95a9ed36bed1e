"""The gateways of many accounts, each opened when it is first used.

Few of the accounts are used at one moment: at most CLIENTS_MAX have connections. The one that was used longest ago
makes room, and is closed once the calls that it may still be making have ended.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from redis.asyncio import Redis

from gateways import Gateway, GatewayAccount, GatewayCall, Gateways
from gateways.client import GatewayClient
from gateways.registry import adapter
from gateways.shared_turns import SharedTurns

CLIENTS_MAX: Final = 64
# No call takes longer.
CLOSED_AFTER_SECONDS: Final = 60.0


class GatewayDirectory(Mapping[str, Gateway]):
    """By account id: *platform*, which are open, and the accounts of merchants."""

    def __init__(self, platform: Gateways, on_call: Callable[[GatewayCall], None], redis: Redis | None = None) -> None:
        self._platform = platform
        self._on_call = on_call
        self._redis = redis
        self._accounts: Mapping[str, GatewayAccount] = {}
        self._open: OrderedDict[str, tuple[GatewayAccount, GatewayClient, Gateway]] = OrderedDict()
        self._retired: list[tuple[float, GatewayClient]] = []

    def __getitem__(self, account_id: str) -> Gateway:
        if account_id in self._platform:
            return self._platform[account_id]
        account = self._accounts[account_id]
        existing = self._open.get(account_id)
        if existing is not None and existing[0] == account:
            self._open.move_to_end(account_id)
            return existing[2]
        self._retire(account_id)
        while len(self._open) >= CLIENTS_MAX:
            self._retire(next(iter(self._open)))
        row = adapter(account.gateway)
        turns_of = partial(SharedTurns, self._redis, account.id) if self._redis else None
        client = GatewayClient(account, row.headers(account), self._on_call, turns_of)
        client.open()
        gateway = row.connect(account, client)
        self._open[account_id] = (account, client, gateway)
        return gateway

    def __iter__(self) -> Iterator[str]:
        yield from self._platform
        yield from self._accounts

    def __len__(self) -> int:
        return len(self._platform) + len(self._accounts)

    def set_accounts(self, accounts: Iterable[GatewayAccount]) -> None:
        """The merchants' accounts as they are now; one that changed is opened anew when it is used again."""
        self._accounts = {account.id: account for account in accounts if account.id not in self._platform}
        for account_id in [each for each in self._open if each not in self._accounts]:
            self._retire(account_id)

    async def close_retired(self, *, now: float | None = None) -> None:
        """Close what no call uses any more."""
        moment = time.monotonic() if now is None else now
        due = [client for retired, client in self._retired if moment - retired >= CLOSED_AFTER_SECONDS]
        self._retired = [each for each in self._retired if moment - each[0] < CLOSED_AFTER_SECONDS]
        for client in due:
            await client.close()

    async def close(self) -> None:
        """Close everything but the platform's."""
        for account_id in list(self._open):
            self._retire(account_id)
        await self.close_retired(now=time.monotonic() + CLOSED_AFTER_SECONDS)

    def _retire(self, account_id: str) -> None:
        entry = self._open.pop(account_id, None)
        if entry is not None:
            self._retired.append((time.monotonic(), entry[1]))
