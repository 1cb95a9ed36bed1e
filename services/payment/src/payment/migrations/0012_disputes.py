"""Disputes, their moves and evidence; which payments' disputes are to be read at the gateway, and when."""

from alembic import op

revision = "payment_0012"
down_revision = "payment_0011"
branch_labels = None
depends_on = None

# One row for each round: what was won may be disputed again under the same id, at the bank's next stage.
DISPUTES = """
create table disputes (
    id uuid primary key,
    payment_id uuid not null references payments,
    merchant_id text not null,
    gateway_account_id text not null,
    gateway_dispute_id text not null check (gateway_dispute_id <> ''),
    round integer not null check (round >= 1),
    status text not null check (status in ('OPEN', 'UNDER_REVIEW', 'WON', 'LOST')),
    announced text not null default 'NONE' check (announced in ('NONE', 'DISPUTED', 'WON', 'LOST')),
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    net_minor bigint not null check (net_minor >= 0),
    cgst_minor bigint not null check (cgst_minor >= 0),
    sgst_minor bigint not null check (sgst_minor >= 0),
    igst_minor bigint not null check (igst_minor >= 0),
    credits_paid bigint not null check (credits_paid >= 0),
    credits_bonus bigint not null check (credits_bonus >= 0),
    reason_code text not null default '',
    respond_by timestamptz,
    gateway_updated_at timestamptz,
    -- What the payment was before, and is again when the dispute is won; '' when it did not move.
    status_before text not null default '',
    hold_id text not null default '',
    value_held bigint not null default 0 check (value_held >= 0),
    fee_minor bigint not null default 0 check (fee_minor >= 0),
    deadline_alerted_at timestamptz,
    seq integer not null check (seq >= 1),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (gateway_account_id, gateway_dispute_id, round),
    check (net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor),
    check (announced not in ('WON', 'LOST') or announced = status),
    check (hold_id = '' or announced <> 'NONE')
);
create index disputes_payment on disputes (payment_id);
create index disputes_changed on disputes (updated_at, id);
create index disputes_of_merchant on disputes (merchant_id, id);
create index disputes_deadline on disputes (respond_by) where status = 'OPEN' and deadline_alerted_at is null;
create unique index disputes_open_once on disputes (gateway_account_id, gateway_dispute_id)
    where status in ('OPEN', 'UNDER_REVIEW');
"""

HISTORY = """
create table dispute_history (
    dispute_id uuid not null references disputes,
    seq integer not null check (seq >= 1),
    from_status text,
    to_status text not null,
    at timestamptz not null,
    primary key (dispute_id, seq),
    check ((seq = 1) = (from_status is null)),
    constraint dispute_history_moves check (
        case from_status
        when 'OPEN' then to_status in ('UNDER_REVIEW', 'WON', 'LOST')
        when 'UNDER_REVIEW' then to_status in ('OPEN', 'WON', 'LOST')
        else from_status is null end)
);

create table dispute_evidence (
    id uuid primary key,
    dispute_id uuid not null references disputes,
    note text not null check (length(note) between 3 and 500),
    file_reference text not null default '' check (length(file_reference) <= 500),
    actor_id text not null check (actor_id <> ''),
    at timestamptz not null,
    unique (dispute_id, note, file_reference)
);

create table dispute_checks (
    payment_id uuid primary key references payments,
    due_at timestamptz not null
);
create index dispute_checks_due on dispute_checks (due_at);
"""


def upgrade() -> None:
    op.execute(DISPUTES)
    op.execute(HISTORY)
