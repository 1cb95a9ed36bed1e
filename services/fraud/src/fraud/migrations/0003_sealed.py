"""Decisions know addresses and devices by blind indexes alone: they are only ever compared.

The table is append-only, so what stands in plain is taken out here, by its owner: decisions of before are found by
payment and user as they were, by an address no longer.
"""

from alembic import op

revision = "fraud_0003"
down_revision = "fraud_0002"
branch_labels = None
depends_on = None

FRAUD_EVENTS = """
alter table fraud_events
    add column ip_index bytea check (octet_length(ip_index) = 32),
    add column device_index bytea check (octet_length(device_index) = 32),
    alter column ip set default '',
    alter column device_id set default '';

drop index fraud_events_by_ip;
drop index fraud_events_by_device;
create index fraud_events_by_ip on fraud_events (ip_index) where ip_index is not null;
create index fraud_events_by_device on fraud_events (device_index) where device_index is not null;

alter table fraud_events disable trigger append_only;
update fraud_events set ip = '', device_id = '' where ip <> '' or device_id <> '';
alter table fraud_events enable trigger append_only;
"""


def upgrade() -> None:
    op.execute(FRAUD_EVENTS)
