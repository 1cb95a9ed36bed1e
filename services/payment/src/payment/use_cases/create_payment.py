"""Create a payment: priced, scored by fraud, inserted with the intent to make its order, then the order itself."""

import time

import msgspec
from redis.asyncio import Redis

from common import context, ids, keys
from common.clock import Clock
from common.idempotency import Answered, Key
from common.redis import BestEffortCache
from common.runtime import Workers
from common.seals import Sealer
from payment.domain import purchases
from payment.domain.errors import PaymentUnresolved
from payment.domain.merchant_orders import parse_order_id
from payment.domain.payments import Payment
from payment.domain.purchases import ChooseAccount, PaymentLimits, Purchase
from payment.domain.reviews import flagged
from payment.gateways.fraud import FraudScores, FraudVerdict
from payment.gateways.packs import Packs
from payment.use_cases import metrics
from payment.use_cases.fee_rules import FeeRuleCache
from payment.use_cases.gateway_orders import ROUTE, CreateResponse, GatewayOrders
from payment.use_cases.merchant_orders import MerchantOrders
from payment.use_cases.payment_inserts import PaymentInserts, PendingInsert

REPLAY_SECONDS = 86_400


class PaymentDrafts:
    """What a purchase becomes: a payment with its price, tax, fee and gateway account, not stored yet."""

    def __init__(
        self,
        packs: Packs,
        fees: FeeRuleCache,
        limits: PaymentLimits,
        choose_account: ChooseAccount,
        orders: MerchantOrders,
        clock: Clock,
    ) -> None:
        self._packs = packs
        self._fees = fees
        self._limits = limits
        self._choose_account = choose_account
        self._orders = orders
        self._clock = clock

    async def draft(self, purchase: Purchase, fingerprint: bytes) -> Payment:
        """Raises the InvalidArgument that names what is wrong, OrderNotFound, or PacksUnavailable."""
        if parse_order_id(purchase.order_id) is not None:
            purchase = await self._orders.purchase_of(purchase)
        pack = await self._packs.find(purchase.merchant_id, purchase.pack_id) if purchase.pack_id else None
        payment = purchases.new_payment(
            purchase,
            pack,
            self._limits,
            self._fees.rules,
            self._choose_account,
            payment_id=ids.new(),
            now=self._clock.now(),
        )
        return msgspec.structs.replace(payment, request_fingerprint=fingerprint) if fingerprint else payment


class ResponseCache:
    """Best-effort cache of recent responses, sealed for key and request; the table of keys is authoritative."""

    def __init__(self, redis: Redis, sealer: Sealer) -> None:
        self._cache = BestEffortCache(redis, sealer, "answers", seconds=REPLAY_SECONDS)

    @property
    def workers(self) -> Workers:
        return Workers(batchers=(self._cache.reads, self._cache.writes))

    async def get(self, key: Key, fingerprint: bytes) -> CreateResponse | None:
        """The response to this very request, if it is remembered."""
        stored = await self._cache.get(_redis_key(key), fingerprint)
        if stored is None:
            return None
        return CreateResponse(int.from_bytes(stored[:2], "big"), stored[2:], replayed=True)

    def put(self, key: Key, fingerprint: bytes, response: CreateResponse) -> None:
        self._cache.set(_redis_key(key), response.status.to_bytes(2, "big") + response.body, fingerprint)


class CreatePayment:
    """The sequence of a create request."""

    def __init__(
        self,
        drafts: PaymentDrafts,
        fraud: FraudScores,
        inserts: PaymentInserts,
        orders: GatewayOrders,
        responses: ResponseCache,
    ) -> None:
        self._drafts = drafts
        self._fraud = fraud
        self._inserts = inserts
        self._orders = orders
        self._responses = responses

    async def create(self, purchase: Purchase, fingerprint: bytes) -> CreateResponse:
        """The final answer to *purchase*, or the one that the same key got before.

        Raises what the domain refuses, and PaymentUnresolved when the gateway's answer is not known yet.
        """
        key = _key(purchase.merchant_id, purchase.user_id, purchase.idempotency_key)
        if key and (cached := await self._responses.get(key, fingerprint)):
            return cached
        return await self.submit(await self._drafts.draft(purchase, fingerprint))

    async def submit(self, draft: Payment) -> CreateResponse:
        """Score, insert and order a payment that is not stored yet. Raises as `create`."""
        started = time.perf_counter()
        key, fingerprint = _key(draft.merchant_id, draft.user_id, draft.idempotency_key), draft.request_fingerprint
        context.note(payment_id=ids.encode("pay", draft.id), order_id=draft.order_id)
        verdict = await self._fraud.verdict(draft)
        inserted = await self._inserts.insert(PendingInsert(_scored(draft, verdict), key, fingerprint, verdict))
        if isinstance(inserted, Answered):
            return CreateResponse(inserted.status, inserted.response, replayed=True)
        try:
            response = await self._orders.make(inserted.payment, inserted.intent)
        except PaymentUnresolved:
            metrics.create_answered(time.perf_counter() - started, "unresolved")
            raise
        metrics.create_answered(time.perf_counter() - started, "created" if response.status == 201 else "refused")
        if key:
            self._responses.put(key, fingerprint, response)
        return response


def _scored(payment: Payment, verdict: FraudVerdict) -> Payment:
    if verdict.review:
        return flagged(payment, verdict.reasons, verdict.score, payment.created_at)
    return msgspec.structs.replace(payment, fraud_score=verdict.score)


def _key(merchant_id: str, user_id: str, key: str) -> Key | None:
    return Key(merchant_id, user_id, ROUTE, key) if key else None


def _redis_key(key: Key) -> str:
    return keys.named("idempotency:payment", key.merchant_id, key.user_id, key.route, key.key)
