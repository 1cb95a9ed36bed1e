"""Routing: versions of its rules, the decision of each payment, and payments that change their account."""

from alembic import op

revision = "payment_0016"
down_revision = "payment_0015"
branch_labels = None
depends_on = None

# '' where there was nothing to decide: one account.
PAYMENTS = """
alter table payments add column routing text not null default '';
"""

# CREATED again: no order was made, and another account is to make it. Checked in two steps, so that writers wait for
# the catalogue only and not for the look at every row.
HISTORY = """
alter table payment_history drop constraint payment_history_moves;
alter table payment_history add constraint payment_history_moves check (case from_status
    when 'CREATED' then to_status in ('CREATED', 'PENDING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
    when 'PENDING' then to_status in ('AUTHORIZING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
    when 'AUTHORIZING' then to_status in ('PENDING', 'PROCESSING', 'SUCCESS', 'FAILED', 'EXPIRED', 'CANCELLED')
    when 'PROCESSING' then to_status in ('PENDING', 'SUCCESS', 'FAILED', 'EXPIRED')
    when 'FAILED' then to_status = 'SUCCESS'
    when 'EXPIRED' then to_status = 'SUCCESS'
    when 'CANCELLED' then to_status = 'SUCCESS'
    when 'SUCCESS' then to_status in ('SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
    when 'SETTLED' then to_status in ('PARTIALLY_REFUNDED', 'REFUNDED', 'DISPUTED')
    when 'PARTIALLY_REFUNDED' then to_status in ('REFUNDED', 'DISPUTED', 'SUCCESS')
    when 'REFUNDED' then to_status in ('PARTIALLY_REFUNDED', 'SUCCESS')
    when 'DISPUTED' then to_status in ('SUCCESS', 'SETTLED', 'PARTIALLY_REFUNDED', 'REFUNDED')
    else from_status is null and to_status = 'CREATED' end) not valid;
alter table payment_history validate constraint payment_history_moves;
"""

# The newest version is in force; older ones stay, payments name them. '' matches everything; a rule without an account
# leaves the choice to the success rate.
RULES = """
create table routing_versions (
    version integer primary key check (version >= 1),
    actor_id text not null,
    reason text not null check (reason <> ''),
    created_at timestamptz not null
);
select make_append_only('routing_versions');

create table routing_rules (
    version integer not null references routing_versions,
    priority integer not null check (priority >= 0),
    merchant_id text not null default '',
    method text not null default '',
    currency text not null default '' check (currency ~ '^([A-Z]{3})?$'),
    amount_min_minor bigint not null default 0 check (amount_min_minor >= 0),
    amount_max_minor bigint check (amount_max_minor >= amount_min_minor),
    share_percent integer not null check (share_percent between 1 and 100),
    gateway_account_id text not null default '',
    exploration_percent integer not null check (exploration_percent between 0 and 50),
    primary key (version, priority)
);
select make_append_only('routing_rules');
"""


def upgrade() -> None:
    for statements in (PAYMENTS, HISTORY, RULES):
        op.execute(statements)
