"""A payment names its gateway account; columns that nothing wrote go.

An order id is unique within its gateway account, as it is for the merchant that sent it. What was stored before belongs
to the platform's own account, gwa_<gateway>.
"""

from alembic import op

revision = "payment_0003"
down_revision = "payment_0002"
branch_labels = None
depends_on = None

PAYMENTS = """
alter table payments add column gateway_account_id text;
update payments set gateway_account_id = 'gwa_' || gateway;
alter table payments alter column gateway_account_id set not null;
alter table payments add constraint payments_gateway_account_id_order_id_key unique (gateway_account_id, order_id);
alter table payments
    drop column settlement_status,
    drop column settlement_amount_minor,
    drop column is_reconciled,
    drop column refunded,
    drop column refund_status,
    drop column refund_amount_minor;
"""

TRANSACTIONS = """
alter table transactions drop column settlement_amount_minor, drop column settlement_date;
"""

# An intent that was recorded before names no account yet.
INTENTS = """
update intents set payload = convert_to(
    cast(jsonb_build_object('gateway_account_id', 'gwa_cashfree',
                            'request', cast(convert_from(payload, 'UTF8') as jsonb)) as text), 'UTF8')
where kind = 'create_order' and done_at is null;
update intents set payload = convert_to(
    cast(cast(convert_from(payload, 'UTF8') as jsonb)
         || jsonb_build_object('gateway_account_id', 'gwa_cashfree') as text), 'UTF8')
where kind = 'terminate_order' and done_at is null;
"""

GATEWAY_CALLS = """
alter table gateway_calls add column gateway text, add column gateway_account_id text;
update gateway_calls set gateway = 'cashfree', gateway_account_id = 'gwa_cashfree';
alter table gateway_calls alter column gateway set not null, alter column gateway_account_id set not null;
drop index gateway_calls_order;
create index gateway_calls_order on gateway_calls (gateway_account_id, order_id);
"""


def upgrade() -> None:
    for statements in (PAYMENTS, TRANSACTIONS, INTENTS, GATEWAY_CALLS):
        op.execute(statements)
