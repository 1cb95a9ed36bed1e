"""A refund that stands is not weighed again: only what adds to what goes back is held against what was captured.

A dispute that is lost over a payment that was refunded is a fact of the bank's, and more goes back than was captured.
The refund's own later moves, its checks among them, must stay possible.
"""

from alembic import op

revision = "payment_0019"
down_revision = "payment_0018"
branch_labels = None
depends_on = None

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
    if new.status not in ('INITIATED', 'PROCESSING', 'SUCCESS') then
        return null;
    end if;
    if tg_op = 'UPDATE' then
        if old.status in ('INITIATED', 'PROCESSING', 'SUCCESS') and new.amount_minor <= old.amount_minor then
            return null;
        end if;
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
"""


def upgrade() -> None:
    op.execute(WITHIN_CAPTURED)
