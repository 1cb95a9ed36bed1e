"""Merchants change their endpoints, look at deliveries, and send again."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from common import ids, outbox
from common.authorization import Authorizer
from common.clock import Clock
from common.database import Database, Tx, retried
from common.events import audit
from common.tokens import Caller
from notifier.domain import webhook_endpoints as domain
from notifier.domain.webhook_deliveries import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    Trigger,
    WebhookNotFound,
    WebhookPending,
)
from notifier.domain.webhook_endpoints import (
    ENDPOINTS_MAX,
    DisabledReason,
    Endpoint,
    EndpointStatus,
    UrlRules,
    WebhookEndpointDisabled,
    WebhookEndpointNotFound,
    WebhookEndpointsTooMany,
    WebhookSecret,
)
from notifier.domain.webhook_events import WebhookEvent
from notifier.store import webhook_commands, webhook_queries

# Who may change where events go: by the token, and confirmed by identity (Authorize).
MANAGE: Final = "webhooks.manage"
# Sent again by one request, at most; the rest by the next.
RESEND_MAX: Final = 500


class EndpointForm(Struct, frozen=True, kw_only=True):
    """What a merchant wants of an endpoint; UNSET leaves it as it is."""

    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    events: Sequence[str] | UnsetType = UNSET
    headers: Mapping[str, str] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookEndpoints:
    """The endpoints of merchants. *wake* tells the worker that something is due.

    Where events go is asked of identity before it changes: every method that takes a caller raises what `ACT_ERRORS`
    lists (common.authorization), too.
    """

    def __init__(
        self, db: Database, clock: Clock, authorizer: Authorizer, rules: UrlRules, wake: Callable[[], None]
    ) -> None:
        self._db = db
        self._clock = clock
        self._authorizer = authorizer
        self._rules = rules
        self._wake = wake

    async def list_endpoints(self, merchant_id: str) -> list[Endpoint]:
        async with self._db.begin() as tx:
            return await webhook_queries.endpoints_of_merchant(tx, merchant_id)

    async def read(self, merchant_id: str, endpoint_id: UUID) -> Endpoint:
        """Raises WebhookEndpointNotFound."""
        async with self._db.begin() as tx:
            found = await webhook_queries.endpoints_of_merchant(tx, merchant_id)
        return _chosen(found, endpoint_id)

    async def create(self, caller: Caller, form: EndpointForm) -> Endpoint:
        """Raises WebhookEndpointInvalid or WebhookEndpointsTooMany."""
        await self._authorizer.require(caller, MANAGE)
        now = self._clock.now()
        endpoint = self._changed(
            Endpoint(
                id=ids.new(),
                merchant_id=caller.merchant_id,
                url="",
                secrets=(_secret(),),
                created_by=caller.actor_id,
                created_at=now,
            ),
            form,
        )
        await _insert(self._db, caller, endpoint, now)
        return endpoint

    async def change(self, caller: Caller, endpoint_id: UUID, form: EndpointForm) -> Endpoint:
        """Raises WebhookEndpointNotFound or WebhookEndpointInvalid."""
        return await self._apply(
            caller, endpoint_id, "webhook_endpoint.changed", lambda endpoint: self._changed(endpoint, form)
        )

    async def rotate(self, caller: Caller, endpoint_id: UUID, overlap: timedelta) -> Endpoint:
        """A new secret; the present one signs beside it for *overlap*. Raises WebhookEndpointNotFound."""
        secret, now = _secret(), self._clock.now()
        return await self._apply(
            caller,
            endpoint_id,
            "webhook_endpoint.rotated",
            lambda endpoint: domain.rotated(endpoint, secret, overlap, now),
        )

    async def delete(self, caller: Caller, endpoint_id: UUID) -> None:
        """What is still to be sent is cancelled. Raises WebhookEndpointNotFound."""
        await self._apply(
            caller,
            endpoint_id,
            "webhook_endpoint.deleted",
            lambda endpoint: replace(endpoint, status=EndpointStatus.DELETED, disabled_reason=None),
        )

    async def send_test(self, caller: Caller, endpoint_id: UUID, make: Callable[[datetime], WebhookEvent]) -> None:
        """Queue a test event for this endpoint alone, whatever it wants.

        Raises WebhookEndpointNotFound or WebhookEndpointDisabled.
        """
        await self._authorizer.require(caller, MANAGE)
        now = self._clock.now()
        async with self._db.begin() as tx:
            endpoint = await _locked(tx, caller.merchant_id, endpoint_id)
            if not endpoint.is_enabled:
                raise WebhookEndpointDisabled("the endpoint is disabled")
            event = make(now)
            await webhook_commands.insert_events(tx, [event])
            await webhook_commands.insert_deliveries(tx, [(endpoint.id, event.id)], now, Trigger.MANUAL)
            await _audit(tx, "webhook_endpoint.tested", caller, endpoint, endpoint, now)
        self._wake()

    async def list_deliveries(self, wanted: DeliveryFilter) -> list[Delivery]:
        async with self._db.begin() as tx:
            return await webhook_queries.deliveries(tx, wanted)

    async def read_delivery(self, merchant_id: str, delivery_id: UUID) -> tuple[Delivery, list[Attempt]]:
        """Raises WebhookNotFound."""
        async with self._db.begin() as tx:
            delivery = await webhook_queries.delivery(tx, delivery_id)
            if delivery is None or delivery.merchant_id != merchant_id:
                raise WebhookNotFound("there is no such webhook")
            return delivery, await webhook_queries.attempts(tx, delivery_id)

    async def list_events(
        self, merchant_id: str, event_type: str, after: UUID | None, limit: int
    ) -> list[WebhookEvent]:
        async with self._db.begin() as tx:
            return await webhook_queries.events(tx, merchant_id, event_type, after, limit)

    async def retry(self, caller: Caller, delivery_id: UUID) -> Delivery:
        """Send a finished delivery once more. Raises WebhookNotFound, WebhookPending or WebhookEndpointDisabled."""
        await self._authorizer.require(caller, MANAGE)
        now = self._clock.now()
        async with self._db.begin() as tx:
            delivery = await webhook_queries.delivery(tx, delivery_id)
            if delivery is None or delivery.merchant_id != caller.merchant_id:
                raise WebhookNotFound("there is no such webhook")
            endpoint = (await webhook_commands.lock_endpoints(tx, [delivery.endpoint_id]))[delivery.endpoint_id]
            if not endpoint.is_enabled:
                raise WebhookEndpointDisabled("the endpoint is disabled or deleted")
            resent = await webhook_commands.resend(tx, [delivery_id], now)
            if not resent:
                raise WebhookPending("the webhook is still being delivered")
            await _audit(tx, "webhook.resent", caller, endpoint, endpoint, now)
        self._wake()
        return resent[0]

    async def resend(self, caller: Caller, wanted: DeliveryFilter) -> int:
        """Send again what *wanted* finds among deliveries that failed for good, oldest first; how many.

        Those of endpoints that are disabled stay as they are.
        """
        await self._authorizer.require(caller, MANAGE)
        now = self._clock.now()
        async with self._db.begin() as tx:
            found = await webhook_queries.deliveries(
                tx, replace(wanted, status=DeliveryStatus.FAILED, limit=RESEND_MAX)
            )
            endpoints = await webhook_commands.lock_endpoints(tx, {each.endpoint_id for each in found})
            chosen = [each.id for each in found if endpoints[each.endpoint_id].is_enabled]
            resent = await webhook_commands.resend(tx, chosen, now) if chosen else []
            for endpoint in {each.endpoint_id: endpoints[each.endpoint_id] for each in resent}.values():
                await _audit(tx, "webhook.resent", caller, endpoint, endpoint, now)
        self._wake()
        return len(resent)

    async def _apply(
        self, caller: Caller, endpoint_id: UUID, action: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint:
        await self._authorizer.require(caller, MANAGE)
        after = await _apply(self._db, caller, endpoint_id, action, change, self._clock.now())
        self._wake()
        return after

    def _changed(self, endpoint: Endpoint, form: EndpointForm) -> Endpoint:
        if form.url is not UNSET:
            endpoint = replace(endpoint, url=domain.checked_url(form.url, self._rules))
        if form.description is not UNSET:
            endpoint = replace(endpoint, description=form.description)
        if form.events is not UNSET:
            endpoint = replace(endpoint, events=domain.checked_events(form.events))
        if form.headers is not UNSET:
            endpoint = replace(endpoint, headers=domain.checked_headers(form.headers))
        if form.enabled is True and not endpoint.is_enabled:
            endpoint = domain.enabled(endpoint)
        if form.enabled is False and endpoint.is_enabled:
            endpoint = domain.disabled(endpoint, DisabledReason.MERCHANT)
        return endpoint


@retried
async def _insert(db: Database, caller: Caller, endpoint: Endpoint, now: datetime) -> None:
    async with db.begin() as tx:
        await webhook_commands.lock_merchant(tx, caller.merchant_id)
        existing = await webhook_queries.endpoints_of_merchant(tx, caller.merchant_id)
        if len(existing) >= ENDPOINTS_MAX:
            raise WebhookEndpointsTooMany(f"a merchant has at most {ENDPOINTS_MAX} endpoints")
        await webhook_commands.insert_endpoint(tx, endpoint)
        await _audit(tx, "webhook_endpoint.created", caller, None, endpoint, now)


@retried
async def _apply(
    db: Database, caller: Caller, endpoint_id: UUID, action: str, change: Callable[[Endpoint], Endpoint], now: datetime
) -> Endpoint:
    async with db.begin() as tx:
        before = await _locked(tx, caller.merchant_id, endpoint_id)
        after = change(before)
        if after != before:
            await webhook_commands.save_endpoint(tx, after)
            await _audit(tx, action, caller, before, after, now)
        if after.status is EndpointStatus.DELETED:
            await webhook_commands.cancel_deliveries(tx, endpoint_id, now)
    return after


def _secret() -> WebhookSecret:
    return domain.secret_of(token_bytes(domain.SECRET_BYTES))


def _chosen(endpoints: Sequence[Endpoint], endpoint_id: UUID) -> Endpoint:
    for endpoint in endpoints:
        if endpoint.id == endpoint_id:
            return endpoint
    raise WebhookEndpointNotFound("there is no such endpoint")


async def _locked(tx: Tx, merchant_id: str, endpoint_id: UUID) -> Endpoint:
    endpoint = (await webhook_commands.lock_endpoints(tx, [endpoint_id])).get(endpoint_id)
    if endpoint is None or endpoint.merchant_id != merchant_id or endpoint.status is EndpointStatus.DELETED:
        raise WebhookEndpointNotFound("there is no such endpoint")
    return endpoint


async def _audit(tx: Tx, action: str, caller: Caller, before: Endpoint | None, after: Endpoint, now: datetime) -> None:
    line = audit(
        action,
        ("webhook_endpoint", ids.encode("wep", after.id)),
        service="notifier",
        at=now,
        merchant_id=after.merchant_id,
        actor_id=caller.actor_id,
        before=_state(before) if before is not None else None,
        after=_state(after),
    )
    await outbox.append(tx, [line])


def _state(endpoint: Endpoint) -> dict[str, object]:
    """Without secrets, without the values of headers, and without the address's path and query, which may hold one."""
    return {
        "host": endpoint.url.split("/")[2],
        "events": list(endpoint.events),
        "headers": sorted(endpoint.headers),
        "status": endpoint.status,
        "disabledReason": endpoint.disabled_reason,
        "secrets": len(endpoint.secrets),
    }
