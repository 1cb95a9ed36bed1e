"""Captures and attempts say whether the gateway itself showed them; closed payments are still looked up.

The attempt's id of a capture may come from a signed webhook: unconfirmed, and then not unique, so that a false claim
about one payment cannot block the true capture of another.
"""

from alembic import op

revision = "payment_0004"
down_revision = "payment_0003"
branch_labels = None
depends_on = None

# Which of the old rows came from webhooks is not recorded. Those of the last week are confirmed by a look-up, hour by
# hour; older ones count as confirmed, and so does a second capture, whose refund an alert requested.
TRANSACTIONS = """
alter table transactions add column confirmed_at timestamptz, add column confirmation_due_at timestamptz;
update transactions set confirmed_at = created_at
where status <> 'CAPTURED' or created_at < now() - interval '7 days';
update transactions set confirmation_due_at = now() + random() * interval '1 day' where confirmed_at is null;
alter table transactions drop constraint transactions_gateway_provider_transaction_id_key;
create unique index transactions_confirmed on transactions (gateway, provider_transaction_id)
    where confirmed_at is not null;
create index transactions_to_confirm on transactions (confirmation_due_at) where confirmation_due_at is not null;
"""

ATTEMPTS = "alter table payment_attempts add column confirmed_at timestamptz"

# Payments that were closed before are looked at as well, spread over a day. An order that the gateway refused to make
# takes no money.
CLOSED_CHECKS = """
create table closed_checks (
    payment_id uuid primary key references payments,
    checks integer not null default 0 check (checks >= 0),
    due_at timestamptz not null
);
create index closed_checks_due on closed_checks (due_at);
insert into closed_checks (payment_id, checks, due_at)
select id, 5, now() + random() * interval '1 day' from payments
where (status in ('FAILED', 'EXPIRED', 'CANCELLED') or (review = 'QUARANTINED' and next_check_at is null))
  and paid_at is null and failure_reason <> 'gateway_refused' and expires_at > now() - interval '30 days';
"""

UNHANDLED_WEBHOOKS = """
create table unhandled_webhooks (
    gateway_account_id text not null,
    type text not null,
    webhook_id text not null,
    alerted_at timestamptz not null,
    primary key (gateway_account_id, type)
);
"""


def upgrade() -> None:
    for statements in (TRANSACTIONS, ATTEMPTS, CLOSED_CHECKS, UNHANDLED_WEBHOOKS):
        op.execute(statements)
