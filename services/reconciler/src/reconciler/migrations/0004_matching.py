"""Matching with settlements and the bank: what was judged, cases with amounts and owners, statements, closes."""

from alembic import op

revision = "reconciler_0004"
down_revision = "reconciler_0003"
branch_labels = None
depends_on = None

# A case that a person resolves belongs to no run.
CASES = """
alter table reconciliation_cases
    add column payment_id text not null default '',
    add column settlement_id text not null default '',
    add column merchant_id text not null default '',
    add column amount_minor bigint not null default 0 check (amount_minor >= 0),
    add column currency text not null default '',
    add column evidence jsonb not null default '[]',
    add column owner text not null default '',
    add column resolved_by text not null default '',
    add column resolution text not null default '',
    -- A person has decided about the difference, and it has stayed as it was since.
    add column decision_stands boolean not null default false,
    drop constraint reconciliation_cases_check1,
    add constraint reconciliation_cases_resolver
        check ((status = 'RESOLVED') = (resolved_run_id is not null or resolved_by <> '')),
    add constraint reconciliation_cases_reason check ((resolved_by <> '') = (resolution <> '')),
    add constraint reconciliation_cases_decision check (not decision_stands or resolved_by <> '');

create index reconciliation_cases_payment on reconciliation_cases (payment_id) where status = 'OPEN';
create index reconciliation_cases_settlement on reconciliation_cases (settlement_id) where status = 'OPEN';
create index reconciliation_cases_decided on reconciliation_cases (kind, reference) where decision_stands;
create index reconciliation_cases_payment_decided on reconciliation_cases (payment_id) where decision_stands;
create index reconciliation_cases_settlement_decided on reconciliation_cases (settlement_id) where decision_stands;
create index reconciliation_cases_opened on reconciliation_cases (opened_at, case_id);
create index reconciliation_cases_same on reconciliation_cases (kind, reference, opened_at);
create index reconciliation_cases_run on reconciliation_cases (run_id);
create index reconciliation_cases_resolved_run on reconciliation_cases (resolved_run_id);

create table reconciliation_notes (
    note_id uuid primary key,
    case_id uuid not null references reconciliation_cases,
    author text not null,
    note text not null check (note <> ''),
    created_at timestamptz not null
);

create index reconciliation_notes_case on reconciliation_notes (case_id, note_id);
"""

MATCHING = """
alter table reconciliation_runs
    add column payments_checked integer not null default 0,
    add column settlements_checked integer not null default 0;

create table matching_cursors (
    feed text primary key,
    -- Everything that changed before has been judged once.
    changed_until timestamptz not null,
    -- The window at work and the page within it; a run that ends early is continued there.
    window_until timestamptz,
    page text not null default '',
    check (window_until is not null or page = ''),
    check (window_until >= changed_until)
);

create table matched_payments (
    -- pay_…, stl_…: as cases name them.
    payment_id text primary key,
    merchant_id text not null,
    gateway text not null,
    account_id text not null,
    currency text not null,
    amount_minor bigint not null check (amount_minor >= 0),
    -- The day in India on which it was paid; null when it does not count as paid.
    paid_on date,
    settled_at timestamptz,
    -- When time alone may change the verdict. Never for most, once they are settled.
    recheck_at timestamptz,
    judged_at timestamptz not null
) with (fillfactor = 80);

create index matched_payments_recheck on matched_payments (recheck_at, payment_id) where recheck_at is not null;
create index matched_payments_paid on matched_payments (paid_on) where paid_on is not null;

create table matched_settlements (
    settlement_id text primary key,
    merchant_id text not null,
    gateway text not null,
    account_id text not null,
    gateway_settlement_id text not null,
    utr text not null,
    status text not null check (status in ('PENDING', 'SETTLED', 'ON_HOLD', 'REVERSED')),
    currency text not null,
    gross_minor bigint not null,
    fee_minor bigint not null,
    fee_tax_minor bigint not null,
    adjustment_minor bigint not null,
    net_minor bigint not null,
    settled_at timestamptz,
    seq bigint not null,
    bank_line_id uuid,
    recheck_at timestamptz,
    judged_at timestamptz not null,
    check (net_minor + fee_minor + fee_tax_minor + adjustment_minor = gross_minor)
);

create index matched_settlements_recheck on matched_settlements (recheck_at, settlement_id)
    where recheck_at is not null;
create index matched_settlements_settled on matched_settlements (settled_at);
"""

BANK = """
create table bank_statements (
    statement_id uuid primary key,
    account text not null,
    format text not null check (format in ('CSV', 'MT940')),
    currency text not null,
    first_on date not null,
    last_on date not null check (last_on >= first_on),
    lines integer not null check (lines >= 0),
    -- Of the file: the same one is stored once for each account.
    sha256 bytea not null,
    uploaded_by text not null,
    uploaded_at timestamptz not null,
    unique (account, sha256)
);

create table bank_lines (
    line_id uuid primary key,
    statement_id uuid not null references bank_statements,
    account text not null,
    booked_on date not null,
    amount_minor bigint not null check (amount_minor <> 0),
    currency text not null,
    -- Letters and digits of reference and narrative, in capitals.
    words text not null check (length(words) <= 200),
    -- Of several equal lines of one day, which; statements that overlap hold the same lines.
    ordinal integer not null check (ordinal >= 0),
    unique (account, booked_on, amount_minor, words, ordinal)
);

create index bank_lines_booked on bank_lines (booked_on, currency);
"""

CLOSES = """
create table reconciliation_closes (
    close_id uuid primary key,
    day date not null,
    closed_at timestamptz not null,
    closed_by text not null,
    statement jsonb not null
);

create index reconciliation_closes_day on reconciliation_closes (day, close_id);
"""


def upgrade() -> None:
    for statements in (CASES, MATCHING, BANK, CLOSES):
        op.execute(statements)
