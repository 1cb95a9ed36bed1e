"""The keys that payments are counted and listed under are digests of their parts with their lengths (common.keys).

Joined by `|`, a user `a|b` of merchant `m` and a user `b` of merchant `m|a` were one. Lists are keyed anew at once. The
counters hold hashes alone, so nothing can carry them over: they begin at zero, the windows of the rules (a day at most)
see less for that long, and what is counted under old keys leaves with its day. Where a user was seen before is
forgotten for the same reason: each address and device is new once more, which in the rules as delivered only watches.
"""

from alembic import op

revision = "fraud_0004"
down_revision = "fraud_0003"
branch_labels = None
depends_on = None

SUBJECT_KEY = """
create or replace function subject_key(dimension text, merchant_id text, value text) returns uuid
language sql immutable strict parallel safe
return cast(encode(substring(sha256(
    int4send(octet_length(convert_to(dimension, 'UTF8'))) || convert_to(dimension, 'UTF8')
    || int4send(octet_length(convert_to(merchant_id, 'UTF8'))) || convert_to(merchant_id, 'UTF8')
    || int4send(octet_length(convert_to(value, 'UTF8'))) || convert_to(value, 'UTF8')
    ) for 16), 'hex') as uuid);
"""

# Written anew, a generated column is computed anew.
LISTS = "update subject_lists set value = value"

SOURCES = "truncate user_sources"


def upgrade() -> None:
    for statements in (SUBJECT_KEY, LISTS, SOURCES):
        op.execute(statements)
