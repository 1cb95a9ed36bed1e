"""How much work of each kind waits, runs, is done and failed; for test environments, where the tables are small."""

from typing import Final

from common.database import Row, Tx

_COUNTS: Final = """
with unfinished as (
    select kind in ('hold_refund', 'create_refund') as is_refund,
           count(*) filter (where leased_until is null or leased_until < now()) as pending,
           count(*) filter (where leased_until >= now()) as processing
    from intents where done_at is null and kind in ('create_order', 'hold_refund', 'create_refund') group by 1)
select 'payments' as queue,
       coalesce((select pending from unfinished where not is_refund), 0) as pending,
       coalesce((select processing from unfinished where not is_refund), 0) as processing,
       (select count(*) from payments where created_at > now() - interval '1 day'
          and gateway_order_id <> '') as completed,
       (select count(*) from payments where created_at > now() - interval '1 day'
          and status = 'FAILED' and failure_reason = 'gateway_refused') as failed
union all
select 'webhooks',
       (select count(*) from outbox where published_at is null and routing_key = 'webhook.processing'), 0,
       (select count(*) from inbox where consumer = 'webhook.processing'),
       (select count(*) from dead_letters where status = 'OPEN' and queue = 'webhook.processing')
union all
select 'refunds',
       coalesce((select pending from unfinished where is_refund), 0),
       coalesce((select processing from unfinished where is_refund), 0),
       (select count(*) from refunds where status = 'SUCCESS'),
       (select count(*) from refunds where status = 'FAILED')
"""


async def job_counts(tx: Tx) -> list[Row]:
    return list((await tx.execute(_COUNTS)).all())
