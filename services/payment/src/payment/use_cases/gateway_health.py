"""How gateway accounts do: circuits over their calls, shared by all replicas, and the success of recent attempts.

A payment asks what is in memory here; Redis and the database are read in the background, and only where there is more
than one account to choose from. While Redis is away each replica knows what its own calls came to.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec
from redis.asyncio import Redis

from common import ids, keys
from common.clock import Clock
from common.database import Database
from common.redis import best_effort
from gateways import GatewayCall
from payment.domain import circuits
from payment.domain.circuits import CLOSED, Circuit, CircuitSettings
from payment.domain.routing import Health
from payment.store import routing
from payment.use_cases import metrics

SHARE_SECONDS: Final = 1
ATTEMPTS_SECONDS: Final = 15
CREATE_ORDER: Final = "create_order"
# Attempts that say how a method does: of the last minutes, at most so many.
ATTEMPTS_WINDOW: Final = timedelta(minutes=10)
ATTEMPTS_MAX: Final = 5_000

_KEYS_REFUSED: Final = frozenset({401, 403})


class HealthSettings(msgspec.Struct, frozen=True):
    circuit: CircuitSettings = CircuitSettings()
    attempts_min: int = 20
    success_percent_min: int = 20


class GatewayHealth:
    """Circuits by account over the calls that make orders: nothing else is left out while a gateway fails."""

    def __init__(self, db: Database, redis: Redis, clock: Clock, settings: HealthSettings) -> None:
        self._db = db
        self._redis = redis
        self._clock = clock
        self._settings = settings
        self._circuits: dict[str, Circuit] = {}
        self._gateways: dict[str, str] = {}
        # Circuits that Redis shows as open because of us.
        self._shared: set[str] = set()
        # Closed here since the last exchange with Redis.
        self._closed: set[str] = set()
        self._attempts: dict[tuple[str, str], tuple[int, int]] = {}

    def record(self, call: GatewayCall) -> None:
        """Of every call that was made; a quota that was spent says nothing about the gateway's health.

        An account whose keys are refused makes no orders, whatever is wrong.
        """
        if call.operation != CREATE_ORDER or call.outcome == "quota" or call.http_status == 429:
            return
        circuit = self._circuits.get(call.account_id, CLOSED)
        if call.outcome == "answered" and call.http_status < 500 and call.http_status not in _KEYS_REFUSED:
            if circuit is not CLOSED:
                self._set(call.account_id, CLOSED)
                if circuit.is_open:
                    self._closed.add(call.account_id)
            return
        self._gateways[call.account_id] = call.gateway
        self._set(call.account_id, circuits.failed(circuit, self._settings.circuit, self._clock.monotonic()))

    def health(self) -> Health:
        """As of now, for one decision."""
        now = self._clock.monotonic()
        return Health(
            frozenset(account for account, circuit in self._circuits.items() if not circuit.admits(now)),
            self._attempts,
            self._settings.attempts_min,
            self._settings.success_percent_min,
        )

    def sent(self, account_id: str) -> None:
        """A new payment goes to the account; where its circuit is open it is the trial."""
        circuit = self._circuits.get(account_id)
        if circuit is not None and circuit.is_open:
            self._circuits[account_id] = circuits.tried(circuit, self._settings.circuit, self._clock.monotonic())

    async def share(self, routed_accounts: Mapping[str, str]) -> None:
        """Tell the other replicas which circuits opened and closed here, and learn of theirs. Best-effort."""
        accounts = sorted(routed_accounts)
        if len(accounts) < 2:
            return
        closed, self._closed = self._closed, set()
        if closed:
            await best_effort(self._redis.delete(*map(_key, sorted(closed))), None)
            self._shared -= closed
        values = await best_effort(self._redis.mget([_key(account) for account in accounts]), None)
        if values is None:
            return
        life_ms = round(2 * self._settings.circuit.open_seconds * 1000)
        for account, value in zip(accounts, values, strict=True):
            circuit = self._circuits.get(account, CLOSED)
            if circuit.is_open and account in self._shared and value is None:
                # Another replica was answered, and removed it.
                self._shared.discard(account)
                self._set(account, CLOSED)
            elif circuit.is_open:
                if account not in self._shared or value is not None:
                    await best_effort(self._redis.set(_key(account), b"open", px=life_ms), None)
                self._shared.add(account)
            elif value is not None and account not in self._closed:
                self._shared.add(account)
                self._gateways[account] = routed_accounts[account]
                opened = circuits.opened_elsewhere(circuit, self._settings.circuit, self._clock.monotonic())
                self._set(account, opened)

    async def read_attempts(self, routed_accounts: Mapping[str, str]) -> None:
        """How often recent attempts succeeded, by account and method."""
        if len(routed_accounts) < 2:
            self._attempts = {}
            return
        since = ids.lower_bound(self._clock.now() - ATTEMPTS_WINDOW)
        async with self._db.begin() as tx:
            self._attempts = await routing.recent_attempts(tx, since, ATTEMPTS_MAX)

    def _set(self, account_id: str, circuit: Circuit) -> None:
        before = self._circuits.get(account_id, CLOSED)
        if circuit is CLOSED:
            self._circuits.pop(account_id, None)
        else:
            self._circuits[account_id] = circuit
        if before.is_open != circuit.is_open:
            metrics.circuit_changed(account_id, self._gateways.get(account_id, ""), is_open=circuit.is_open)


def _key(account_id: str) -> str:
    return keys.named("gateway:circuit", account_id, CREATE_ORDER)
