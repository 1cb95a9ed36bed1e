"""Refunds in the billing figures: how many were asked for, and over how much."""

from alembic import op

revision = "reconciler_0005"
down_revision = "reconciler_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table billing_events drop constraint billing_events_kind_check")
    op.execute(
        "alter table billing_events add constraint billing_events_kind_check check (kind in"
        " ('payment.created', 'payment.success', 'payment.failed', 'refund.created', 'webhook.failure'))"
    )
    op.execute(
        "alter table billing_daily add column refunds bigint not null default 0,"
        " add column refunds_minor bigint not null default 0"
    )
