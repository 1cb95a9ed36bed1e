"""The HTTP endpoints."""

from collections.abc import Callable

import httpx
import pytest
import pytest_asyncio

from common.clock import FakeClock
from common.database import Database
from common.testing import Served
from wallet.use_cases import credits

from .. import builders as make

As = Callable[[str], dict[str, str]]


@pytest_asyncio.fixture
async def granted(db: Database, clock: FakeClock) -> None:
    async with db.begin() as tx:
        await credits.grant_credits(tx, clock, [make.grant()])


@pytest.fixture
def http(wallet: Served) -> httpx.AsyncClient:
    return wallet.http


@pytest.fixture
def as_(access_token: Callable[..., str]) -> As:
    """The headers that a signed-in user sends."""
    return lambda user_id: {"Authorization": f"Bearer {access_token(user_id)}"}


async def test_callers_see_their_own_wallet(http: httpx.AsyncClient, as_: As, granted: None) -> None:
    body = (await http.get("/api/v1/wallet", headers=as_("usr_asha"))).json()
    assert body["success"]
    assert body["data"].pop("walletId").startswith("wal_")
    assert body["data"] == {
        "available": 5500,
        "locked": 0,
        "pending": 0,
        "lifetimePurchased": 5000,
        "debt": 0,
        "lots": [{"expiresAt": None, "paid": 5000, "bonus": 500}],
    }
    other = (await http.get("/api/v1/wallet", headers=as_("usr_ravi"))).json()["data"]
    assert (other["walletId"], other["available"], other["lots"]) == (None, 0, [])
    assert (await http.get("/api/v1/wallet")).status_code == 401


async def test_transactions_come_in_pages_newest_first(
    http: httpx.AsyncClient, as_: As, granted: None, db: Database, clock: FakeClock
) -> None:
    clock.advance(3600)
    await credits.consume_credits(db, clock, [make.consumption(number) for number in (1, 2, 3)])
    listed, cursor = [], None
    while True:
        parameters = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/api/v1/wallet/transactions", params=parameters, headers=as_("usr_asha"))).json()[
            "data"
        ]
        listed += [each["credits"] for each in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert listed == [-3, -2, -1, 5500]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": "GRANT"}, [5500]),
        ({"type": "CONSUME"}, [-1]),
        ({"from": "2026-01-01T00:30:00Z"}, [-1]),
        ({"to": "2026-01-01T00:30:00+00:00"}, [5500]),
        ({"from": "2026-01-01T01:00:00Z", "to": "2026-01-01T01:00:00Z"}, []),
    ],
)
async def test_transactions_can_be_filtered(
    http: httpx.AsyncClient,
    as_: As,
    granted: None,
    db: Database,
    clock: FakeClock,
    filters: dict[str, str],
    expected: list[int],
) -> None:
    clock.advance(3600)
    await credits.consume_credits(db, clock, [make.consumption(1)])
    page = (await http.get("/api/v1/wallet/transactions", params=filters, headers=as_("usr_asha"))).json()["data"]
    assert [each["credits"] for each in page["items"]] == expected


@pytest.mark.parametrize(
    "wrong",
    [{"limit": "0"}, {"limit": "201"}, {"cursor": "x"}, {"type": "STEAL"}, {"from": "yesterday"}, {"user": "x"}],
)
async def test_a_wrong_filter_is_named(http: httpx.AsyncClient, as_: As, wrong: dict[str, str]) -> None:
    answer = await http.get("/api/v1/wallet/transactions", params=wrong, headers=as_("usr_asha"))
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(wrong)


async def test_packs_are_public_and_a_withdrawn_version_is_gone(
    http: httpx.AsyncClient, db: Database, clock: FakeClock
) -> None:
    clock.advance(86_400)
    async with db.begin() as tx:
        await tx.execute("update packs set active_to = '2026-01-02T00:00:00Z' where pack_id = 'pack_150'")
    packs = (await http.get("/api/v1/packs")).json()["data"]
    assert [(pack["packId"], pack["amount"], pack["creditsTotal"]) for pack in packs] == [
        ("pack_300", 30_000, 3200),
        ("pack_500", 50_000, 5500),
        ("pack_1000", 100_000, 12_000),
    ]
    assert (await http.get("/api/v1/packs", params={"merchantId": "mer_other"})).json()["data"] == []
