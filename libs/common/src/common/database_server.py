"""What the database server says about its connections, its archive and its backups."""

import re
from datetime import datetime

from common.database import Database
from common.metrics import ServerFigures

# Views that every role may read. A role without a limit of its own may take all that the server has.
_FIGURES = """
select count(*) filter (where activity.usename = current_user) as role_connections,
       count(*) as connections,
       cast(current_setting('max_connections') as integer) as connections_max,
       (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user) as role_connections_max,
       coalesce((select extract(epoch from last_archived_time) from pg_stat_archiver
                 where current_setting('archive_mode') <> 'off'), 0) as archived_at,
       (select shobj_description(oid, 'pg_database') from pg_database
        where datname = current_database() and current_setting('archive_mode') <> 'off') as comment
from pg_stat_activity activity
where activity.backend_type = 'client backend' or activity.usename = current_user
"""


# What a tool that makes a base backup writes as the database's comment: `backup 2026-11-28T03:00:00Z`.
_BACKUP = re.compile(r"backup (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z", re.ASCII)


async def figures(db: Database) -> ServerFigures:
    """One look at the server."""
    async with db.autocommit() as tx:
        row = (await tx.execute(_FIGURES)).one()
    return ServerFigures(
        role_connections=row.role_connections,
        role_connections_max=row.role_connections_max or row.connections_max,
        connections=row.connections,
        connections_max=row.connections_max,
        archived_at=float(row.archived_at),
        backed_up_at=_backed_up_at(row.comment or ""),
    )


def _backed_up_at(comment: str) -> float:
    """In seconds since 1970; 0 when no comment says it."""
    match = _BACKUP.search(comment)
    try:
        return datetime.fromisoformat(match[1] + "+00:00").timestamp() if match else 0.0
    except ValueError:
        return 0.0
