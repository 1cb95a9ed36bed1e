"""What must hold of money that goes back or goes to the bank: refunds, their holds and notes, disputes, settlements.

Part of `ops.invariants`: plain SQL over all schemas, each check returns the rows that violate it.
"""

from typing import Final

# pg_temp.crockford spells a hold's id as payment keeps it.
CHECKS: Final[dict[str, str]] = {
    "no payment gives back more than was captured": """
        select p.id, p.amount_minor, coalesce(f.minor, 0) as refunded, coalesce(d.minor, 0) as lost
        from payment.payments p
        left join (select payment_id, sum(amount_minor) as minor from payment.refunds
                   where status in ('INITIATED', 'PROCESSING', 'SUCCESS') and receipt_id is null group by 1) f
            on f.payment_id = p.id
        left join (select payment_id, sum(amount_minor) as minor from payment.disputes where status = 'LOST'
                   group by 1) d on d.payment_id = p.id
        where coalesce(f.minor, 0) > 0 and coalesce(f.minor, 0) + coalesce(d.minor, 0) > p.amount_minor""",
    "a refund's history is one path": """
        select refund_id from payment.refund_history group by refund_id having max(seq) <> count(*) or min(seq) <> 1
        union all
        select h.refund_id from payment.refund_history h join payment.refund_history before
            on before.refund_id = h.refund_id and before.seq = h.seq - 1
        where h.from_status <> before.to_status""",
    "a refund stands where its history ends": """
        select r.id from payment.refunds r left join payment.refund_history h on h.refund_id = r.id and h.seq = r.seq
        where h.to_status is distinct from r.status""",
    "a dispute stands where its history ends": """
        select d.id from payment.disputes d
        left join payment.dispute_history h on h.dispute_id = d.id and h.seq = d.seq
        where h.to_status is distinct from d.status""",
    "every hold for a refund is of one refund": """
        select h.hold_id, count(r.id) from wallet.holds h
        left join payment.refunds r on r.hold_id = pg_temp.crockford('hld', h.hold_id)
        where h.operation_key like 'refund:%' group by h.hold_id having count(r.id) <> 1""",
    "a refund's hold became what the refund became": """
        select r.id, r.status, h.state from payment.refunds r
        left join wallet.holds h on pg_temp.crockford('hld', h.hold_id) = r.hold_id
        where r.hold_id <> '' and h.state is distinct from case r.status
            when 'PROCESSING' then 'HELD' when 'SUCCESS' then 'CONSUMED' when 'REVERSED' then 'REGRANTED'
            else 'RELEASED' end""",
    "a dispute's hold became what the dispute became": """
        select d.id, d.announced, h.state from payment.disputes d
        left join wallet.holds h on pg_temp.crockford('hld', h.hold_id) = d.hold_id
        where d.hold_id <> '' and h.state is distinct from case d.announced
            when 'LOST' then 'CONSUMED' when 'WON' then 'RELEASED' else 'HELD' end""",
    "every refund of a payment that succeeded has one journal and one credit note": """
        select r.id, r.status, j.posted, c.notes from payment.refunds r
        cross join lateral (select count(*) as posted from ledger.journals
                            where reference = r.id and template = 'payment.refunded') j
        cross join lateral (select count(*) as notes from payment.credit_notes where refund_id = r.id) c
        where r.receipt_id is null
          and ((r.status in ('SUCCESS', 'REVERSED'))::int <> j.posted
               or (r.status in ('SUCCESS', 'REVERSED'))::int <> c.notes)""",
    "every refund that was reversed has one journal that says so": """
        select r.id, r.status, j.posted from payment.refunds r
        cross join lateral (select count(*) as posted from ledger.journals
                            where reference = r.id and template = 'refund.reversed') j
        where r.receipt_id is null and (r.status = 'REVERSED')::int <> j.posted""",
    "credit note numbers have no gap": """
        select merchant_id, series from payment.credit_notes group by 1, 2
        having max(number) <> count(*) or min(number) <> 1""",
    "a settlement is booked as it stands": """
        select id, status, net_minor, booked_net_minor from payment.settlements
        where booked_net_minor <> case status when 'SETTLED' then net_minor else 0 end""",
    "the books have what settlements brought to the bank": """
        select ledger, settled from
            (select coalesce(sum(e.debit - e.credit), 0) as ledger from ledger.ledger_entries e
             join ledger.journals j using (journal_id) join ledger.accounts a using (account_id)
             where a.code = 'asset:bank' and j.template = 'settlement.imported') l,
            (select coalesce(sum(booked_net_minor), 0) as settled from payment.settlements) s
        where ledger <> settled""",
}

# Both sides of these are written in one transaction.
UNDER_WAY: Final = frozenset(
    {
        "no payment gives back more than was captured",
        "a refund's history is one path",
        "a refund stands where its history ends",
        "a dispute stands where its history ends",
        "credit note numbers have no gap",
    }
)
