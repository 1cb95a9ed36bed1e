"""Reviews of flagged payments with their decisions; failed attempts are counted, and by the order as well."""

from alembic import op

revision = "fraud_0002"
down_revision = "fraud_0001"
branch_labels = None
depends_on = None

# Open since the payment was flagged. A payment that was flagged before this table is not listed: its credits were
# granted then, and its row is made when somebody decides.
REVIEWS = """
create table reviews (
    payment_id uuid primary key references fraud_events (payment_id),
    merchant_id text not null,
    user_id text not null,
    score integer not null check (score between 0 and 1000),
    reasons text[] not null check (cardinality(reasons) > 0),
    opened_at timestamptz not null,
    verdict text check (verdict in ('ALLOW', 'BLOCK')),
    decided_at timestamptz,
    actor_id text not null default '',
    reason text not null default '',
    -- A verdict has its time, its author and its reason; without one there is none of them.
    check ((verdict is null) = (decided_at is null)),
    check ((verdict is null) = (actor_id = '')),
    check ((verdict is null) = (reason = ''))
);
create index reviews_of_merchant on reviews (merchant_id, payment_id);
"""

ATTEMPTS = """
alter table velocity_buckets add column attempts_failed integer not null default 0 check (attempts_failed >= 0);
alter table rules drop constraint rules_metric_check;
alter table rules add constraint rules_metric_check check (metric in
    ('CREATED', 'FAILED', 'ATTEMPT_FAILED', 'SUCCEEDED', 'ABANDONED', 'AMOUNT', 'NEW_SOURCE'));
alter table rules drop constraint rules_dimension_check;
alter table rules add constraint rules_dimension_check check (dimension in
    ('USER', 'IP', 'DEVICE', 'USER_AMOUNT', 'ORDER'));
-- Only attempts are counted by their order.
alter table rules add constraint rules_order_check check (dimension <> 'ORDER' or metric = 'ATTEMPT_FAILED');
"""

# Somebody who mistypes a code twice and then tries another card has three. By address and device they only watch.
RULES = """
insert into rules (name, dimension, metric, window_seconds, threshold, score, action, mode, description) values
    ('order_attempts_failed_1h', 'ORDER', 'ATTEMPT_FAILED', 3600, 4, 400, 'REVIEW', 'ACTIVE',
     '5 or more failed attempts on one order'),
    ('user_attempts_failed_10m', 'USER', 'ATTEMPT_FAILED', 600, 9, 400, 'REVIEW', 'ACTIVE',
     '10 or more failed attempts in 10 minutes'),
    ('ip_attempts_failed_10m', 'IP', 'ATTEMPT_FAILED', 600, 100, 300, 'REVIEW', 'SHADOW',
     'more than 100 failed attempts from an address'),
    ('device_attempts_failed_10m', 'DEVICE', 'ATTEMPT_FAILED', 600, 20, 300, 'REVIEW', 'SHADOW',
     'more than 20 failed attempts from a device');
"""


def upgrade() -> None:
    for statements in (REVIEWS, ATTEMPTS, RULES):
        op.execute(statements)
