"""Looking orders up at their gateways before anything is decided about them."""

import asyncio
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from gateways import Gateways, OrderMissing, OrderReference, OrderSnapshot, PaymentAttempt, ReadOrderResult, Unknown
from payment.domain.orders import ObservedOrder, OrderKey, needs_list
from payment.domain.payments import Payment

LookupResult: TypeAlias = ObservedOrder | OrderMissing | Unknown

NO_SNAPSHOTS: Final[Mapping[OrderKey, OrderSnapshot]] = MappingProxyType({})


class LookupRequest(msgspec.Struct, frozen=True):
    """One order to look up, with what webhooks claim of its attempts."""

    order: OrderKey
    gateway_order_id: str = ""
    claims: tuple[PaymentAttempt, ...] = ()
    # Read the list of attempts in any case: a customer waits and wants to see an open order move, or a capture is to
    # be confirmed.
    read_attempts: bool = False

    @property
    def reference(self) -> OrderReference:
        return OrderReference(self.order.order_id, self.gateway_order_id)


class OrderLookup:
    """The gateways' own view of orders: idempotent reads, bounded in number, each with a deadline."""

    def __init__(self, gateways: Gateways, *, timeout_seconds: float, concurrency: int = 32) -> None:
        self._gateways = gateways
        self._timeout_seconds = timeout_seconds
        self._slots = asyncio.Semaphore(concurrency)

    async def look_up(
        self, requests: Collection[LookupRequest], snapshots: Mapping[OrderKey, OrderSnapshot] = NO_SNAPSHOTS
    ) -> dict[OrderKey, LookupResult]:
        """The result for each order; what cannot be known is Unknown, never an exception.

        *snapshots* are orders that were read a moment ago: they are not read again.
        """
        results = await asyncio.gather(*(self._look_up(each, snapshots.get(each.order)) for each in requests))
        return {request.order: result for request, result in zip(requests, results, strict=True)}

    async def find(self, gateway_account_id: str, gateway_order_id: str) -> ReadOrderResult:
        """The order of which only the gateway's own id is known."""
        gateway = self._gateways.get(gateway_account_id)
        if gateway is None:
            return Unknown("account_not_configured")
        async with self._slots:
            return await gateway.read_order(OrderReference("", gateway_order_id), self._timeout_seconds)

    async def _look_up(self, request: LookupRequest, known: OrderSnapshot | None) -> LookupResult:
        gateway = self._gateways.get(request.order.gateway_account_id)
        if gateway is None:
            return Unknown("account_not_configured")
        async with self._slots:
            snapshot = known or await gateway.read_order(request.reference, self._timeout_seconds)
            return await self.complete(snapshot, request) if isinstance(snapshot, OrderSnapshot) else snapshot

    async def complete(self, snapshot: OrderSnapshot, request: LookupRequest) -> ObservedOrder | Unknown:
        """*snapshot* with its attempts; the gateway's list is read only when the claims do not suffice."""
        if not request.read_attempts and not needs_list(snapshot, request.claims):
            return ObservedOrder(snapshot, request.claims)
        gateway = self._gateways[request.order.gateway_account_id]
        listed = await gateway.read_attempts(request.reference, self._timeout_seconds)
        return listed if isinstance(listed, Unknown) else ObservedOrder(snapshot, request.claims, tuple(listed))


def lookup_of(payment: Payment, *, read_attempts: bool = False) -> LookupRequest:
    return LookupRequest(payment.order_key, payment.gateway_order_id, read_attempts=read_attempts)


def observed_only(results: Mapping[OrderKey, LookupResult]) -> dict[OrderKey, ObservedOrder]:
    """The orders that the gateway showed."""
    return {order: result for order, result in results.items() if isinstance(result, ObservedOrder)}
