"""What became of a user's paid payments: refunds and disputes by the day, and rules over months of them."""

from alembic import op

revision = "fraud_0006"
down_revision = "fraud_0005"
branch_labels = None
depends_on = None

# By the day and for a year: a dispute comes weeks after its payment, long after the counters of minutes are gone.
DAYS = """
create table history_days (
    key uuid not null,
    -- Days since 1970, UTC.
    day integer not null,
    refunded integer not null default 0 check (refunded >= 0),
    disputed integer not null default 0 check (disputed >= 0),
    disputes_won integer not null default 0 check (disputes_won >= 0),
    disputes_lost integer not null default 0 check (disputes_lost >= 0),
    primary key (key, day)
);
create index history_days_old on history_days (day);
"""

# A table of their own: a version that does not know the metric could not read `rules`.
RULES = """
create table history_rules (
    name text primary key,
    metric text not null check (metric in ('REFUNDED', 'DISPUTED', 'DISPUTE_WON', 'DISPUTE_LOST')),
    window_days integer not null check (window_days between 1 and 365),
    -- The rule fires above it.
    threshold bigint not null check (threshold >= 0),
    score integer not null check (score between 0 and 1000),
    action text not null check (action in ('SCORE', 'REVIEW', 'BLOCK')),
    mode text not null default 'ACTIVE' check (mode in ('ACTIVE', 'SHADOW')),
    enabled boolean not null default true,
    description text not null default '',
    updated_at timestamptz not null default now()
);
insert into history_rules (name, metric, window_days, threshold, score, action, mode, description) values
    ('user_refunds_30d', 'REFUNDED', 30, 4, 300, 'REVIEW', 'SHADOW', '5 or more refunds in 30 days'),
    ('user_disputed_180d', 'DISPUTED', 180, 0, 300, 'SCORE', 'ACTIVE', 'a dispute within half a year'),
    ('user_disputes_180d', 'DISPUTED', 180, 1, 300, 'REVIEW', 'ACTIVE', '2 or more disputes within half a year'),
    ('user_dispute_lost_365d', 'DISPUTE_LOST', 365, 0, 400, 'REVIEW', 'ACTIVE', 'a dispute lost within a year');
"""


def upgrade() -> None:
    for statements in (DAYS, RULES):
        op.execute(statements)
