"""Nothing that a customer or their merchant's server wrote outlives the erasure of the person."""

from datetime import timedelta
from typing import Any

from common import personal_data
from common.personal_data import Person
from payment.store.personal_data import personal_data as declared

from .world import World

WORD = "quilplanted"


async def found(world: World, word: str) -> set[str]:
    """The columns of the service's tables that hold *word*, in texts, JSON or bytes."""
    columns = await world.rows(
        "select table_name, column_name from information_schema.columns where table_schema = current_schema()"
        " and has_table_privilege(quote_ident(table_schema) || '.' || quote_ident(table_name), 'select')"
    )
    hits = set()
    for table, column in sorted((row.table_name, row.column_name) for row in columns):
        rows = await world.rows(
            f'select 1 from "{table}" where cast("{column}" as text) ~ :pattern limit 1',
            pattern=f"{word}|{word.encode().hex()}",
        )
        if rows:
            hits.add(f"{table}.{column}")
    return hits


async def test_no_text_of_a_request_outlives_an_erasure(world: World) -> None:
    texts: dict[str, Any] = {
        "description": f"for {WORD}",
        "metadata": {"note": [f"{WORD}@example.in"]},
        "returnUrl": f"https://shop.example.in/back?mail={WORD}",
    }
    await world.created(key=f"{WORD}@example.in", **texts)
    await world.create(user="usr_other", key=f"{WORD}@example.in")
    assert await found(world, WORD) >= {"payments.description", "payments.return_url", "idempotency_keys.key"}
    assert "intents.payload" not in await found(world, WORD), "an executed intent keeps nothing"
    async with world.db.begin() as tx:
        await personal_data.erase(tx, declared(timedelta(days=180)), Person("usr_asha"))
    # Another person's row under the same key is theirs.
    [other] = await world.rows("select user_id from idempotency_keys where key <> ''")
    assert other.user_id == "usr_other"
    async with world.db.begin() as tx:
        await personal_data.erase(tx, declared(timedelta(days=180)), Person("usr_other"))
    assert await found(world, WORD) == set()
