"""Recipients are sealed and found by a blind index; so are suppressed addresses, which were their own key.

Rows from before are sealed by the service itself, which has the keys (common.table_passes).
"""

from alembic import op

revision = "notifier_0002"
down_revision = "notifier_0001"
branch_labels = None
depends_on = None

EMAILS = """
alter table emails add column recipient_index bytea check (octet_length(recipient_index) = 32);

create index emails_by_recipient on emails (recipient_index) where recipient_index is not null;
"""

SUPPRESSIONS = """
alter table suppressions
    drop constraint suppressions_pkey,
    drop constraint suppressions_address_check,
    add column id uuid not null default gen_random_uuid(),
    add column address_index bytea unique check (octet_length(address_index) = 32),
    add primary key (id),
    add unique (address);
"""


def upgrade() -> None:
    op.execute(EMAILS)
    op.execute(SUPPRESSIONS)
