"""The migration of fingerprints, with keys in place."""

import hashlib
from importlib import import_module

import msgspec

from common import idempotency, ids, seals
from common.database import connect

MIGRATION = import_module("payment.migrations.0007_fingerprints")


async def test_keys_of_before_answer_their_askers(owner_url: str) -> None:
    request = {"amount": 1_000, "name": "Zoë"}
    old = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).digest()
    askers = [("mer_1", "usr_1"), ("mer_1", "acct:ü"), ("mer|1", "usr_1")]
    async with connect(owner_url, service="payment", sealer=seals.generated()) as db, db.begin() as tx:
        for merchant_id, user_id in askers:
            await tx.execute(
                """insert into idempotency_keys
                       (merchant_id, user_id, route, key, fingerprint, subject, state, expires_at)
                   values (:merchant_id, :user_id, 'r', 'k', :fingerprint, :subject, 'STARTED', now())""",
                merchant_id=merchant_id,
                user_id=user_id,
                fingerprint=old,
                subject=ids.new(),
            )
        await tx.execute(MIGRATION.STORED)
        rows = await tx.execute("select merchant_id, user_id, fingerprint from idempotency_keys")
        stored = {(row.merchant_id, row.user_id): row.fingerprint for row in rows}
    assert stored == {asker: idempotency.fingerprint(*asker, request) for asker in askers}
