"""What a stack's databases and broker consist of, apart from what lies in them: a newer release only adds to it."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import asyncpg

from common import bootstrap
from common.services import SCHEMAS

_COLUMNS = """
select table_schema || '.' || table_name || '.' || column_name as name, data_type from information_schema.columns
where table_schema = any($1)
"""
SHOWN = 10


class TakenAway(Exception):
    """A release drops or changes what the replicas of the one before work with."""


async def structure(description: Mapping[str, Any]) -> frozenset[str]:
    """Columns with their types, exchanges, queues with their arguments, bindings; each as one text. Raises OSError."""
    found: set[str] = set()
    for url in sorted(set(description["postgresql"]["schema_urls"].values())):
        db = await asyncpg.connect(url, timeout=5, command_timeout=60)
        try:
            rows = await db.fetch(_COLUMNS, list(SCHEMAS))
        finally:
            await db.close()
        found |= {f"column {row['name']} {row['data_type']}" for row in rows}
    broker = description["rabbitmq"]
    async with bootstrap.management(broker["management_url"]) as api:
        definitions = await (await api.get(f"/api/definitions/{quote(broker['vhost'], safe='')}")).json()
    found |= {f"exchange {row['name']} {row['type']}" for row in definitions["exchanges"]}
    found |= {f"queue {row['name']} {json.dumps(row['arguments'], sort_keys=True)}" for row in definitions["queues"]}
    found |= {f"binding {row['source']} {row['routing_key']} {row['destination']}" for row in definitions["bindings"]}
    return frozenset(found)


def added(before: Collection[str], after: Collection[str]) -> str:
    """How much of each kind has come. Raises TakenAway when something is not there any more, or is another now."""
    if missing := sorted(set(before) - set(after)):
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise TakenAway(f"no longer there as they were: {'; '.join(missing[:SHOWN])}{more}")
    kinds = Counter(each.split()[0] for each in set(after) - set(before))
    return ", ".join(f"{kind} + {count}" for kind, count in sorted(kinds.items())) or "nothing"
