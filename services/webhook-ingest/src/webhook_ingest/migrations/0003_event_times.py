"""The time that a body claims is one that everybody can read, or none."""

from alembic import op

revision = "webhook_ingest_0003"
down_revision = "webhook_ingest_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
update webhook_logs set event_time = null
where event_time < timestamptz '2000-01-01 00:00:00+00' or event_time >= timestamptz '2100-01-01 00:00:00+00';
alter table webhook_logs add check (
    event_time >= timestamptz '2000-01-01 00:00:00+00' and event_time < timestamptz '2100-01-01 00:00:00+00');
""")
