"""Receipts are given back by refunds: which one, when the policy does it, never more than they hold; overdue holds."""

from alembic import op

revision = "payment_0015"
down_revision = "payment_0014"
branch_labels = None
depends_on = None

COLUMNS = """
alter table receipts
    -- The refund that gives it back, from its beginning on; null again once it has failed or come back.
    add column refund_id uuid references refunds,
    -- When the policy gives it back; null where a person decides.
    add column refund_due_at timestamptz;
create index receipts_refund_due on receipts (refund_due_at) where refund_due_at is not null;
update receipts r set refund_id = f.id from refunds f
where f.receipt_id = r.id and f.status in ('INITIATED', 'PROCESSING', 'SUCCESS');
-- The capture that the gateway says it gave back: where a refund names the order only, the gateway picks it.
alter table refunds add column returned_payment_id text not null default '';
"""

# When people were told that the credits of a refund or a dispute cannot be held.
HOLDS = """
alter table refunds add column hold_alerted_at timestamptz;
create index refunds_waiting on refunds (created_at) where status = 'INITIATED';
alter table disputes add column hold_alerted_at timestamptz;
create index disputes_waiting on disputes (created_at) where announced = 'NONE';
"""

DECISIONS = """
alter table review_decisions drop constraint review_decisions_action_check;
alter table review_decisions add constraint review_decisions_action_check
    check (action in ('FULFIL', 'REFUND', 'REFUNDED', 'DISMISS'));
"""

# What was recorded by hand counts against the receipt, too. An older version does not write refund_id: what it gives
# back by a refund is known by the gateway's id of that.
WITHIN_CAPTURED = """
create or replace function refuse_refund_of_more() returns trigger
language plpgsql
set search_path from current
as $$
declare
    captured bigint;
begin
    if new.receipt_id is not null then
        perform 1 from payments where id = new.payment_id for no key update;
        select amount_minor - applied_minor
            - case when refund_id is distinct from new.id and gateway_refund_id <> new.provider_refund_id
                   then refunded_minor else 0 end
            into captured
            from receipts where id = new.receipt_id and payment_id = new.payment_id;
        if new.amount_minor > coalesce(captured, 0) then
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

create function refuse_receipt_of_less() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if exists (
        select 1 from refunds f
        where f.receipt_id = new.id and f.status in ('INITIATED', 'PROCESSING', 'SUCCESS')
            and f.amount_minor > new.amount_minor - new.applied_minor
                - case when new.refund_id is distinct from f.id and new.gateway_refund_id <> f.provider_refund_id
                       then new.refunded_minor else 0 end) then
        raise exception 'what is being refunded of the receipt is used otherwise'
            using errcode = 'check_violation', constraint = 'receipts_hold_their_refund';
    end if;
    return null;
end
$$;
create trigger receipts_hold_their_refund after update of applied_minor, refunded_minor on receipts
    for each row execute function refuse_receipt_of_less();
"""


def upgrade() -> None:
    for statements in (COLUMNS, HOLDS, DECISIONS, WITHIN_CAPTURED):
        op.execute(statements)
