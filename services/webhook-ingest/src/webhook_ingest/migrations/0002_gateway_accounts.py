"""A webhook belongs to a gateway account: it is unique within it, and no merchant is guessed for it."""

from alembic import op

revision = "webhook_ingest_0002"
down_revision = "webhook_ingest_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is there came in for the only account that there was, the platform's own at Cashfree.
    op.execute("""
drop view payment_webhooks;
alter table webhook_logs add column gateway_account_id text not null default 'gwa_cashfree';
alter table webhook_logs alter column gateway_account_id drop default;
alter table webhook_logs drop column merchant_id;

alter table webhook_keys add column gateway_account_id text not null default 'gwa_cashfree';
alter table webhook_keys alter column gateway_account_id drop default;
alter table webhook_keys drop constraint webhook_keys_pkey;
alter table webhook_keys add primary key (gateway_account_id, key);
alter table webhook_keys drop column gateway;

-- The name that the billing documents use.
create view payment_webhooks as
select id as event_id, gateway, gateway_account_id, event_type, event_version, order_id, gateway_payment_id,
       gateway_refund_id, payload, headers, signature, encode(hash, 'hex') as hash, retry_count, processing_status,
       failure_reason, received_at, processed_at
from webhook_logs;
""")
