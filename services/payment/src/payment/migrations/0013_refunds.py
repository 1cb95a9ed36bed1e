"""Refunds with their history and credit notes; never more goes back than was captured; acts that need approval."""

from alembic import op

from common import approvals

revision = "payment_0013"
down_revision = "payment_0012"
branch_labels = None
depends_on = None

# The table is empty: nothing wrote to it before.
REFUNDS = """
alter table refunds
    add column gateway text not null,
    add column gateway_payment_id text not null check (gateway_payment_id <> ''),
    add column receipt_id uuid references receipts,
    add column net_minor bigint not null check (net_minor >= 0),
    add column cgst_minor bigint not null check (cgst_minor >= 0),
    add column sgst_minor bigint not null check (sgst_minor >= 0),
    add column igst_minor bigint not null check (igst_minor >= 0),
    add column credits_paid bigint not null check (credits_paid >= 0),
    add column credits_bonus bigint not null check (credits_bonus >= 0),
    add column policy text not null check (policy in ('BLOCK', 'DEBT', 'ABSORB')),
    add column speed text not null check (speed in ('STANDARD', 'INSTANT')),
    add column source text not null check (source in ('STAFF', 'POLICY', 'GATEWAY')),
    add column requested_by text not null check (requested_by <> ''),
    add column hold_id text not null default '',
    add column value_held_minor bigint not null default 0 check (value_held_minor >= 0),
    add column held_paid bigint not null default 0 check (held_paid >= 0),
    add column held_bonus bigint not null default 0 check (held_bonus >= 0),
    add column bank_reference text not null default '',
    add column failure_reason text not null default '',
    add column seq integer not null check (seq >= 1),
    add column next_check_at timestamptz,
    add column succeeded_at timestamptz
        check (succeeded_at >= timestamptz '2000-01-01 00:00:00+00'
               and succeeded_at < timestamptz '2100-01-01 00:00:00+00'),
    -- A receipt has no price, no tax and no credits.
    add constraint refunds_parts check (net_minor + cgst_minor + sgst_minor + igst_minor
        = case when receipt_id is null then amount_minor else 0 end),
    add constraint refunds_halves check (cgst_minor - sgst_minor between 0 and 1),
    add constraint refunds_of_receipts check (receipt_id is null or credits_paid + credits_bonus = 0),
    add constraint refunds_held check (held_paid <= credits_paid and held_bonus <= credits_bonus),
    add constraint refunds_succeeded check ((status in ('SUCCESS', 'REVERSED')) = (succeeded_at is not null));
create index refunds_of_merchants on refunds (merchant_id, id);
create index refunds_changed on refunds (updated_at, id);
create index refunds_due on refunds (next_check_at) where next_check_at is not null;
-- The gateway's refund is one of ours, once.
create unique index refunds_of_gateways on refunds (gateway, provider_refund_id) where provider_refund_id <> '';
-- A receipt goes back once.
create unique index refunds_of_receipts_once on refunds (receipt_id)
    where receipt_id is not null and status in ('INITIATED', 'PROCESSING', 'SUCCESS');
"""

HISTORY = """
create table refund_history (
    refund_id uuid not null references refunds,
    seq integer not null check (seq >= 1),
    from_status text,
    to_status text not null,
    reason text not null,
    actor text not null,
    at timestamptz not null,
    primary key (refund_id, seq),
    check ((seq = 1) = (from_status is null)),
    constraint refund_history_moves check (case from_status
        when 'INITIATED' then to_status in ('PROCESSING', 'FAILED')
        when 'PROCESSING' then to_status in ('SUCCESS', 'FAILED')
        when 'SUCCESS' then to_status = 'REVERSED'
        else from_status is null and to_status in ('INITIATED', 'PROCESSING') end)
);
select make_append_only('refund_history');
"""

CREDIT_NOTES = """
create table credit_notes (
    id uuid primary key,
    refund_id uuid not null unique references refunds,
    payment_id uuid not null references payments,
    merchant_id text not null,
    user_id text not null,
    series text not null,
    number bigint not null check (number >= 1),
    credit_note_number text not null check (credit_note_number ~ '^[A-Z1-9][A-Z0-9/-]{0,15}$'),
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    net_minor bigint not null check (net_minor >= 0),
    cgst_minor bigint not null check (cgst_minor >= 0),
    sgst_minor bigint not null check (sgst_minor >= 0),
    igst_minor bigint not null check (igst_minor >= 0),
    place_of_supply text not null,
    issued_at timestamptz not null,
    unique (merchant_id, series, number),
    check (net_minor + cgst_minor + sgst_minor + igst_minor = amount_minor),
    check (cgst_minor - sgst_minor between 0 and 1)
);
create index credit_notes_payment on credit_notes (payment_id);
select make_append_only('credit_notes');
"""

# The rows of a payment are counted under its lock, which the writers hold already.
WITHIN_CAPTURED = """
create function refuse_refund_of_more() returns trigger
language plpgsql
set search_path from current
as $$
declare
    captured bigint;
begin
    if new.receipt_id is not null then
        select amount_minor - applied_minor into captured from receipts where id = new.receipt_id;
        if new.amount_minor > captured then
            raise exception 'a refund of more than the receipt holds'
                using errcode = 'check_violation', constraint = 'refunds_within_receipt';
        end if;
        return null;
    end if;
    select amount_minor into captured from payments where id = new.payment_id for no key update;
    if (select sum(amount_minor) from refunds where payment_id = new.payment_id and receipt_id is null
        and status in ('INITIATED', 'PROCESSING', 'SUCCESS'))
        + (select coalesce(sum(amount_minor), 0) from disputes where payment_id = new.payment_id and status = 'LOST')
        > captured then
        raise exception 'refunds of more than was captured'
            using errcode = 'check_violation', constraint = 'refunds_within_captured';
    end if;
    return null;
end
$$;
create trigger refunds_within_captured after insert or update of status, amount_minor, payment_id, receipt_id on refunds
    for each row when (new.status in ('INITIATED', 'PROCESSING', 'SUCCESS'))
    execute function refuse_refund_of_more();
"""

# What other documents keep as columns of the payment: derived from its refunds, so that there is one truth.
VIEW = """
create view payment_refunds as
select p.id as payment_id,
       r.succeeded_minor = p.amount_minor as refunded,
       r.succeeded_minor as refund_amount_minor,
       case when r.succeeded_minor > 0 and r.open_minor = 0 then 'COMPLETED'
            when r.open_minor > 0 then 'REQUESTED' else 'NOT_REQUESTED' end as refund_status,
       r.refunded_at
from payments p
cross join lateral (
    select coalesce(sum(amount_minor) filter (where status = 'SUCCESS'), 0)::bigint as succeeded_minor,
           coalesce(sum(amount_minor) filter (where status in ('INITIATED', 'PROCESSING')), 0)::bigint as open_minor,
           max(succeeded_at) filter (where status = 'SUCCESS') as refunded_at
    from refunds where payment_id = p.id and receipt_id is null) r;
"""


def upgrade() -> None:
    for statements in (REFUNDS, HISTORY, CREDIT_NOTES, WITHIN_CAPTURED, VIEW, approvals.DDL):
        op.execute(statements)
