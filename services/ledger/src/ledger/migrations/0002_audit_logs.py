"""The audit log."""

from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"
branch_labels = None
depends_on = None

# audit_id is the event's own id: the same action announced twice is kept once.
AUDIT_LOGS = """
create table audit_logs (
    audit_id uuid primary key,
    merchant_id text not null,
    actor_id text,
    action text not null,
    resource_type text not null,
    resource_id text not null,
    before_state jsonb,
    after_state jsonb,
    ip_address text,
    user_agent text,
    trace_id text not null,
    request_id text not null,
    service text not null,
    created_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    xid xid8 not null default pg_current_xact_id()
);

-- The id is in order of time.
create index audit_logs_resource on audit_logs (resource_id, audit_id);
create index audit_logs_actor on audit_logs (actor_id, audit_id) where actor_id is not null;
"""


def upgrade() -> None:
    op.execute(AUDIT_LOGS)
    op.execute("select make_append_only('audit_logs')")
