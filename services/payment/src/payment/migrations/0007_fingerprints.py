"""Who asks is part of what makes two requests the same, and a payment keeps it beyond the day of its key.

The fingerprint of a request becomes the digest (common.keys) of merchant, user and the old fingerprint, so that the
stored ones are rewritten and a key of yesterday still answers. A process of the version before, while both run, refuses
such a key as used by another request; it never answers with somebody else's payment.
"""

from alembic import op

revision = "payment_0007"
down_revision = "payment_0006"
branch_labels = None
depends_on = None

STORED = """
update idempotency_keys set fingerprint = sha256(
    int4send(octet_length(convert_to(merchant_id, 'UTF8'))) || convert_to(merchant_id, 'UTF8')
    || int4send(octet_length(convert_to(user_id, 'UTF8'))) || convert_to(user_id, 'UTF8')
    || int4send(octet_length(fingerprint)) || fingerprint)
where octet_length(fingerprint) > 0;
"""

# Empty: not known any more. Such a payment answers for its key no longer than the table of keys does.
PAYMENTS = """
alter table payments add column request_fingerprint bytea not null default '';
update payments p set request_fingerprint = k.fingerprint from idempotency_keys k where k.subject = p.id;
"""


def upgrade() -> None:
    for statements in (STORED, PAYMENTS):
        op.execute(statements)
