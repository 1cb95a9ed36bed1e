"""The books over HTTP: what FINANCE reads, exports, closes, freezes and posts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from commdesk.ledger.v1 import ledger_pb2 as pb
from commdesk.ledger.v1.ledger_pb2_grpc import LedgerServiceStub
from common.testing import Served

from ..builders import NOW_MICROS, Events
from ..conftest import Identity

PREFIX = "/api/v1/ledger"
SPAN = {"from": "2020-01-01T00:00:00Z"}


class Finance:
    """Somebody of FINANCE, and others."""

    def __init__(self, ledger: Served, access_token: Callable[..., str]) -> None:
        self.ledger, self._token = ledger, access_token
        self.events = Events()

    async def call(self, method: str, path: str, **options: Any) -> Any:
        user, roles = options.pop("user", "usr_fin"), options.pop("roles", ("FINANCE",))
        merchant = options.pop("merchant", "mer_commdesk")
        token = self._token(user, merchant_id=merchant, roles=roles)
        return await self.ledger.http.request(
            method, PREFIX + path, headers={"authorization": f"Bearer {token}"}, **options
        )

    async def get(self, path: str, **options: Any) -> Any:
        response = await self.call("GET", path, **options)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    async def book(self, count: int = 1) -> list[str]:
        """So many payments of `usr_asha`; their ids."""
        paid = [self.events.paid() for _ in range(count)]
        for event in paid:
            event.payment.user_id = "usr_asha"
        await self.ledger.handle("ledger.posting", paid)
        return [event.payment.payment_id for event in paid]


@pytest_asyncio.fixture
async def finance(ledger: Served, access_token: Callable[..., str]) -> Finance:
    return Finance(ledger, access_token)


async def test_finance_reads_the_books(finance: Finance) -> None:
    await finance.book(3)
    accounts = await finance.get("/accounts")
    assert {"asset:bank", "burned"} <= {each["account"] for each in accounts["items"]}
    balances = await finance.get("/balances", params={"at": "2099-01-01T00:00:00Z"})
    assert balances["differences"] == {"INR": 0, "CREDIT": 0}
    of = {each["account"]: each["balance"] for each in balances["accounts"]}
    assert (of["asset:gateway:cashfree"], of["liability:deferred_credits"]) == (150_000, 3 * 42_373)
    page = await finance.get("/journals", params={"limit": 2})
    assert len(page["items"]) == 2
    rest = await finance.get("/journals", params={"limit": 2, "cursor": page["nextCursor"]})
    assert (len(rest["items"]), rest["nextCursor"]) == (1, None)
    journal = await finance.get(f"/journals/{page['items'][0]['journalId']}")
    assert journal == page["items"][0]
    mine = await finance.get(
        "/entries", params={**SPAN, "ownerId": "usr_asha", "limit": 200, "to": "2099-01-01T00:00:00Z"}
    )
    assert len(mine["items"]) == 12
    statement = await finance.get(
        "/accounts/liability:gst:cgst/statement", params={**SPAN, "to": "2099-01-01T00:00:00Z"}
    )
    assert (statement["opening"], statement["closing"], len(statement["items"])) == (0, 3 * 3_814, 3)


async def test_what_is_read_is_the_callers_merchants(finance: Finance) -> None:
    await finance.book()
    [journal] = (await finance.get("/journals"))["items"]
    assert (await finance.get("/journals", merchant="mer_other"))["items"] == []
    other = await finance.call("GET", f"/journals/{journal['journalId']}", merchant="mer_other")
    assert other.status_code == 404
    assert (await finance.call("GET", "/journals", roles=("SUPPORT",))).status_code == 403


async def test_exports_are_csv(finance: Finance) -> None:
    await finance.book(2)
    params = {**SPAN, "to": "2099-01-01T00:00:00Z"}
    entries = await finance.call("GET", "/entries/export", params=params)
    assert entries.headers["content-type"].startswith("text/csv")
    lines = entries.text.splitlines()
    assert len(lines) == 1 + 8
    assert lines[0].startswith("journalId,line,account")
    balances = await finance.call("GET", "/trial-balance/export")
    assert "asset:gateway:cashfree,INR," in balances.text


async def test_blocks_are_listed(finance: Finance) -> None:
    await finance.book()
    for job in ("seal_old_origins", "seal_blocks", "anchor_blocks"):
        await finance.ledger.run_job(job)
    [block] = (await finance.get("/blocks"))["items"]
    assert (block["height"], block["journals"], len(block["head"])) == (1, 1, 64)


async def test_a_journal_is_reversed_once(finance: Finance, identity: Identity) -> None:
    await finance.book()
    [journal] = (await finance.get("/journals"))["items"]
    path, body = f"/journals/{journal['journalId']}/reverse", {"reason": "booked in error"}
    reversed_ = await finance.call("POST", path, json=body)
    assert reversed_.json()["data"]["actorId"] == "usr_fin"
    assert (await finance.call("POST", path, json=body)).json()["error"]["code"] == "journal_reversed"
    identity.dismissed.add("usr_fin")
    assert (await finance.call("POST", path, json=body)).status_code == 403


async def test_manual_journals_need_another_person(finance: Finance) -> None:
    lines = [{"account": "asset:bank", "debit": 700}, {"account": "revenue:platform_fee", "credit": 700}]
    body = {"key": "oct-interest", "journals": [{"lines": lines, "reason": "interest"}], "reason": "October"}
    preview = await finance.call("POST", "/journals/preview", json=body)
    [draft] = preview.json()["data"]["journals"]
    assert draft["lines"][0] == {"account": "asset:bank", "debit": 700, "credit": 0}
    assert (await finance.get("/journals"))["items"] == []
    proposed = await finance.call("POST", "/journals", json=body)
    assert proposed.status_code == 201, proposed.text
    approval = proposed.json()["data"]["approval"]
    assert (approval["debits"], approval["status"]) == ({"INR": 700}, "PENDING")
    path, decision = f"/approvals/{approval['approvalId']}/decision", {"verdict": "APPROVE", "reason": "checked"}
    # Whoever decides sees every line, and nobody of another merchant does.
    shown = await finance.get(f"/approvals/{approval['approvalId']}")
    assert shown["approval"] == approval
    [asked] = shown["journals"]
    assert (asked["lines"], asked["reason"]) == (draft["lines"], "interest")
    elsewhere = await finance.call("GET", f"/approvals/{approval['approvalId']}", merchant="mer_other")
    assert (elsewhere.status_code, elsewhere.json()["error"]["code"]) == (404, "approval_not_found")
    stub = LedgerServiceStub(finance.ledger.channel("operator"))  # type: ignore[no-untyped-call]
    one = pb.ListProposalsRequest(approval_id=approval["approvalId"])
    [told] = (await stub.ListProposals(one, timeout=5)).proposals
    assert [(each.account, each.debit, each.credit) for each in told.journals[0].entries] == [
        ("asset:bank", 700, 0),
        ("revenue:platform_fee", 0, 700),
    ]
    [summary] = (await stub.ListProposals(pb.ListProposalsRequest(), timeout=5)).proposals
    assert (summary.status, summary.journals_count, dict(summary.debits), list(summary.journals)) == (
        "PENDING",
        1,
        {"INR": 700},
        [],
    )
    assert (await finance.call("POST", path, json=decision)).json()["error"]["code"] == "approval_by_proposer"
    assert (await finance.call("POST", path, json=decision, user="usr_2")).json()["data"]["status"] == "APPROVED"
    [journal] = (await finance.get("/journals"))["items"]
    assert (journal["actorId"], journal["template"]) == ("usr_fin", "journal.manual")
    [listed] = (await finance.get("/approvals"))["items"]
    assert listed["decidedBy"] == "usr_2"


async def test_an_event_is_previewed(finance: Finance) -> None:
    amounts = {"taken": 50_000, "net": 42_374, "cgst": 3_813, "sgst": 3_813}
    body = {"event": "payment.success", "gateway": "cashfree", "amounts": amounts}
    preview = await finance.call("POST", "/events/preview", json=body)
    [draft] = preview.json()["data"]["journals"]
    assert len(draft["lines"]) == 4
    refused = await finance.call("POST", "/events/preview", json=body | {"amounts": {"taken": 1}})
    assert refused.json()["error"]["code"] == "journal_unbalanced"
    unknown = await finance.call("POST", "/events/preview", json=body | {"event": "no.such"})
    assert unknown.json()["error"]["code"] == "event_unknown"


async def test_a_period_is_closed_and_an_account_frozen(finance: Finance) -> None:
    until = datetime.fromtimestamp(NOW_MICROS // 1_000_000 + 3600, UTC)
    finance.ledger.resources.clock.advance(max(0.0, (until - finance.ledger.resources.clock.now()).total_seconds() + 1))
    closed = await finance.call("POST", "/periods/close", json={"until": until.isoformat(), "reason": "month end"})
    assert closed.status_code == 200, closed.text
    [period] = (await finance.get("/periods"))["items"]
    assert period["closedBy"] == "usr_fin"
    frozen = await finance.call("POST", "/accounts/asset:bank/freeze", json={"reason": "bank dispute"})
    assert frozen.json()["data"]["account"] == "asset:bank"
    assert len((await finance.get("/freezes"))["items"]) == 1
    await finance.call("POST", "/accounts/asset:bank/unfreeze", json={"reason": "it is over"})
    assert (await finance.get("/freezes"))["items"] == []
    unknown = await finance.call("POST", "/accounts/asset:vault/freeze", json={"reason": "what is it"})
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"actorId": "usr_1"}, 2),
        ({"resourceId": "pay_2"}, 1),
        ({"action": "payment.cancel"}, 1),
        ({"from": "2000-01-01T00:00:00Z", "to": "2001-01-01T00:00:00Z"}, 0),
        ({}, 3),
    ],
)
async def test_the_audit_log_is_searched_and_exported(finance: Finance, params: dict[str, str], count: int) -> None:
    events = finance.events
    records = [
        events.audited(),
        events.audited(resource_id="pay_2"),
        events.audited(actor_id="usr_2", action="payment.cancel"),
        events.audited(merchant_id="mer_other"),
    ]
    await finance.ledger.handle("audit.log", records)
    page = await finance.get("/audit", params=params)
    assert len(page["items"]) == count
    export = await finance.call("GET", "/audit/export", params=params)
    assert len(export.text.splitlines()) == 1 + count
