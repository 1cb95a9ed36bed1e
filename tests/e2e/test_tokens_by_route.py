"""Every route of every service × every kind of token: who is refused, and as what.

The routes are the services' own rows, so a new one is in here by itself. Asked of the services and not of the edge,
whose rate limits would answer first.
"""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec import Struct

from commdesk.common.v1.common_pb2 import Money
from commdesk.ledger.v1 import ledger_pb2
from commdesk.payment.v1 import disputes_pb2, refunds_pb2, settlements_pb2
from commdesk.reconciler.v1 import reconciler_pb2
from common import ids
from common.http_server import Route
from common.permissions import SIGNED_IN, TABLE
from common.route_tables import route_tables
from ops import credentials as stack_credentials
from ops import journey
from ops.credentials import Credentials
from ops.fleet_client import FleetClient
from ops.ports import Layout

from . import forged_tokens
from .forged_tokens import Signer
from .test_api_contract import owner_token

# At once: no service has to refuse any of them for its load.
AT_ONCE = 16
PUBLIC = {
    "GET /api/v1/payments/{paymentId}/public",
    "GET /api/v1/packs",
    # Closed but where TEST_MODE is set.
    "GET /api/v1/test/jobs/status",
    "POST /api/v1/webhooks/cashfree",
    "POST /api/v1/webhooks/razorpay",
    "POST /api/v1/webhooks/{gateway}/{accountId}",
    "POST /api/v1/users/signup",
    "POST /api/v1/users/email/verify",
    "POST /api/v1/users/email/resend",
    "POST /api/v1/users/password/forgot",
    "POST /api/v1/users/password/reset",
    "POST /api/v1/users/login",
    "POST /api/v1/users/refresh",
    "POST /api/v1/invitations/decline",
    "GET /.well-known/jwks.json",
    "GET /openapi.json",
    "GET /docs",
    "GET /docs/swagger-ui.css",
    "GET /docs/swagger-ui-bundle.js",
    "GET /docs/start.js",
}
TOKEN_CODES = {"token_missing", "token_invalid", "token_expired", "token_revoked", "api_key_invalid"}
MERCHANT = "mer_commdesk"


# For the bodies of what a path names, so that they are read and the thing is looked for.
FIELDS = {
    "version": "1",
    "reason": "checked with the gateway",
    "receiptId": "rcp_01J0000000000000000000000A",
    "gatewayRefundId": "r-1",
    "verdict": "ALLOW",
    "roles": ["USER"],
    "status": "ACTIVE",
    "note": "seen by nobody else",
    "owner": "usr_1",
    "kind": "secret",
    "name": "Shop",
    "amount": 50_000,
    "email": "x@example.com",
    "token": "x-1",
    "permissions": ["payments.read"],
    "merchantId": "mer_01J0000000000000000000000A",
    "webhookSecret": "whsec_of_somebody_else",
    "url": "https://shop.example/webhooks",
    "since": "2026-01-01T00:00:00Z",
    "payments": [{}],
}


class Answered(Struct, frozen=True):
    status: int
    code: str
    # Whether there is anything in it: a list of nothing is none.
    is_empty: bool = False


# What was asked with, where, and what it was answered.
Wrong = tuple[str, str, Answered]


class Services:
    """Asks the services themselves."""

    def __init__(self, fleet: FleetClient, http: aiohttp.ClientSession) -> None:
        self._urls = {name: each["http"] for name, each in fleet.description["services"].items()}
        self._http = http
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(
        self,
        service: str,
        route: Route[Any],
        authorization: str,
        body: Any = None,
        *,
        origin: str = "",
        **values: str,
    ) -> Answered:
        """*body* is none, or JSON; *origin* that of a page; *values* are those of the path's parameters."""
        path = re.sub(r"{(\w+)(?::\w+)?}", lambda parameter: values.get(parameter[1], "x-1"), route.path)
        headers = {"Authorization": authorization} if authorization else {}
        if origin:
            headers["Origin"] = origin
        async with (
            self._turns,
            self._http.request(route.method, self._urls[service] + path, headers=headers, json=body) as response,
        ):
            content = await response.read()
            if response.content_type != "application/json":
                return Answered(response.status, "", is_empty=False)
            answer = json.loads(content)
            if response.status >= 400:
                return Answered(response.status, answer["error"]["code"])
            return Answered(response.status, "", answer.get("data", {}).get("items") == [])


def guarded() -> Iterator[tuple[str, Route[Any]]]:
    """The routes that need a token, each with its service."""
    for service, rows in route_tables().items():
        yield from ((service, row) for row in rows if not row.public)


def roles_with(route: Route[Any]) -> frozenset[str]:
    """The platform roles that have the route's permission, by each of their names."""
    roles = TABLE.permissions[route.permission].platform
    return roles | {alias for alias, role in TABLE.aliases.items() if role in roles}


def named(route: Route[Any]) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture
async def services(fleet: FleetClient) -> AsyncIterator[Services]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield Services(fleet, http)


@pytest.fixture
async def credentials(layout: Layout) -> Credentials:
    return await asyncio.to_thread(stack_credentials.load_or_generate, layout.run_dir / "secrets.json")


@pytest.fixture
async def signer(fleet: FleetClient, credentials: Credentials) -> Signer:
    return await forged_tokens.signer_of(fleet, credentials)


def test_what_is_public_is_listed_here() -> None:
    assert {named(row) for rows in route_tables().values() for row in rows if row.public} == PUBLIC


async def test_no_route_takes_a_token_that_is_not_good(
    services: Services, signer: Signer, credentials: Credentials
) -> None:
    async def refused(kind: str, service: str, route: Route[Any], authorization: str) -> Wrong | None:
        answered = await services.ask(service, route, authorization)
        is_refused = answered.status == 401 and answered.code in TOKEN_CODES
        return None if is_refused else (kind, named(route), answered)

    asked = [
        refused(kind, service, route, authorization)
        for service, route in guarded()
        for kind, authorization in forged_tokens.forged(signer, credentials, service).items()
    ]
    assert len(asked) > 700
    assert [each for each in await asyncio.gather(*asked) if each is not None] == []


async def test_no_route_takes_a_token_whose_session_has_ended(fleet: FleetClient, services: Services) -> None:
    member = await journey.sign_up(fleet)
    ended = f"Bearer {member.token}"
    assert (await fleet.edge("POST", "/api/v1/users/logout", {}, token=member.token)).status == 200
    # Announced in milliseconds, polled for within five seconds.
    await asyncio.sleep(5)
    answers = [await services.ask(service, route, ended) for service, route in guarded()]
    assert {(each.status, each.code) for each in answers} == {(401, "token_revoked")}


async def test_a_route_takes_the_roles_that_it_names_and_no_others(
    services: Services, signer: Signer, credentials: Credentials
) -> None:
    """Also those that nobody has heard of, in either case; and none that the existing issuer claims of staff."""

    async def denied(kind: str, service: str, route: Route[Any], token: str) -> Wrong | None:
        answered = await services.ask(service, route, f"Bearer {token}")
        return None if answered == Answered(403, "role_missing") else (kind, named(route), answered)

    async def let_in(kind: str, service: str, route: Route[Any], token: str) -> Wrong | None:
        answered = await services.ask(service, route, f"Bearer {token}")
        is_refused = answered.code in TOKEN_CODES | {"role_missing", "route_not_found", "method_not_allowed"}
        return (kind, named(route), answered) if is_refused else None

    asked = []
    for service, route in guarded():
        having = roles_with(route)
        others = {*forged_tokens.ROLES, *TABLE.platform_roles, *TABLE.merchant_roles, "ADMINISTRATOR"} - having
        if SIGNED_IN in having:
            asked += [let_in(role, service, route, signer.token(roles=[role])) for role in others]
            asked.append(let_in("HS256", service, route, forged_tokens.hs256(credentials, roles=["USER"])))
        else:
            asked += [
                denied("several", service, route, signer.token(roles=sorted(others))),
                denied("none", service, route, signer.token(roles=[])),
                denied("HS256", service, route, forged_tokens.hs256(credentials)),
                *(denied(role, service, route, signer.token(roles=[role])) for role in others),
            ]
        for role in having:
            asked += [let_in(each, service, route, signer.token(roles=[each])) for each in (role, role.lower())]
    assert [each for each in await asyncio.gather(*asked) if each is not None] == []


async def test_a_route_takes_the_merchant_roles_that_have_its_permission_in_both_environments(
    services: Services, signer: Signer
) -> None:
    """Whatever platform roles the token claims besides. A role that an account has made brings what it holds."""

    async def asked(kind: str, service: str, route: Route[Any], may: bool, **claims: object) -> Wrong | None:
        everything: dict[str, Any] = {
            "roles": list(forged_tokens.ROLES),
            "account_id": "acc_01J0000000000000000000000A",
        }
        answered = await services.ask(service, route, f"Bearer {signer.token(**everything | claims)}")
        refused = TOKEN_CODES | {"role_missing", "route_not_found", "method_not_allowed"}
        is_right = answered.code not in refused if may else answered == Answered(403, "role_missing")
        return None if is_right else (kind, named(route), answered)

    asks = []
    for service, route in guarded():
        having = TABLE.permissions[route.permission].merchant
        for environment in ("live", "test"):
            claims = {"merchant_id": f"mer_01J0000000000000000000000A_{environment}"}
            for role in (*TABLE.merchant_roles, *({*TABLE.platform_roles, "KING"} - TABLE.merchant_roles.keys())):
                kind = f"{role} in {environment}"
                asks.append(asked(kind, service, route, role in having, member_roles=[role], **claims))
            others = sorted({*TABLE.merchant_roles} - having)
            asks.append(asked("all others", service, route, False, member_roles=others, **claims))
            own = {"member_roles": [], "permissions": [route.permission]}
            asks.append(asked("a role of its own", service, route, bool(having), **own, **claims))
    assert len(asks) > 1_500
    assert [each for each in await asyncio.gather(*asks) if each is not None] == []


async def test_what_belongs_to_somebody_else_is_not_there(
    fleet: FleetClient, services: Services, signer: Signer
) -> None:
    """For another member, for a member of another merchant, for its staff."""
    owner, other = await journey.sign_up(fleet), await journey.sign_up(fleet)
    created = await journey.create(fleet, owner, pack_id="pack_500", key=secrets.token_hex(12))
    happened = await what_followed(fleet, owner)
    sessions = await fleet.edge("GET", "/api/v1/users/sessions", token=owner.token)
    values = {
        "paymentId": created["paymentId"],
        "reference": created["orderId"],
        "orderId": created["orderId"],
        "batchId": ids.encode("bat", ids.new()),
        "userId": owner.user_id,
        "sessionId": sessions.data["items"][0]["sessionId"],
        **happened,
        # Of all merchants together: nobody's of another merchant, whatever its id.
        "caseId": ids.encode("cas", ids.new()),
        # Nobody's yet: those of other merchants are refused alike (services/payment/tests/integration).
        "gatewayAccountId": ids.encode("gwa", ids.new()),
        "apiKeyId": ids.encode("apk", ids.new()),
        "invitationId": ids.encode("ivt", ids.new()),
        "roleId": ids.encode("rol", ids.new()),
        "endpointId": ids.encode("wep", ids.new()),
        "webhookId": ids.encode("dlv", ids.new()),
        # A row of the chart, which every merchant has: its balances are the caller's own.
        "account": "asset:bank",
    }
    elsewhere = "mer_01J0000000000000000000000A"
    strangers = {
        "another member": other.token,
        "a member elsewhere": signer.token(sub=other.user_id, merchant_id=elsewhere, roles=["USER"]),
        "staff elsewhere": signer.token(merchant_id=elsewhere, roles=["ADMIN"]),
        "the owner of another merchant": await owner_token(fleet, other),
    }
    seen = []
    for service, route in guarded():
        parameters = re.findall(r"{(\w+)", route.path)
        assert values.keys() >= {*parameters}, f"{named(route)}: put what it names into the values above"
        if not parameters or parameters == ["account"]:
            continue
        for who, token in strangers.items():
            answered = await services.ask(service, route, f"Bearer {token}", body_of(route), **values)
            if not answered.is_empty and answered.code not in NOT_SHOWN:
                seen.append((who, named(route), answered))
    assert not seen, seen
    # The owner sees it.
    for path in (f"/api/v1/payments/{values['paymentId']}", f"/api/v1/payments/status/{values['reference']}"):
        assert (await fleet.edge("GET", path, token=owner.token)).status == 200


async def what_followed(fleet: FleetClient, owner: journey.Member) -> dict[str, str]:
    """Ids of a refund, a proposed refund, a dispute, a settlement, a journal and a run, all of them real."""
    paid = await journey.create(fleet, owner, pack_id="pack_500")
    await journey.pay(fleet, paid["orderId"])
    await journey.until_success(fleet, owner, paid["paymentId"])
    # More than the limit above which a second person has to approve.
    body = {"amount": 2_000_000, "currency": "INR", "customerEmail": owner.email}
    large = (await fleet.edge("POST", "/api/v1/payments/create", body, token=owner.token)).data
    await journey.pay(fleet, large["orderId"])
    await journey.until_success(fleet, owner, large["paymentId"])
    asked = [
        refunds_pb2.RefundRequest(
            payment_id=payment["paymentId"],
            amount=Money(minor=minor, currency="INR"),
            reason="somebody else's",
            operator="operator:test",
        )
        for payment, minor in ((paid, 10_000), (large, 1_500_000))
    ]
    answer = await fleet.refunds().RequestRefunds(refunds_pb2.RequestRefundsRequest(items=asked), timeout=15)
    refund, proposed = answer.results
    await fleet.sandbox("POST", f"/control/orders/{paid['orderId']}/disputes", {"amount_paise": 10_000})
    await fleet.sandbox("POST", "/control/settlements", {"order_ids": [paid["orderId"]]})
    await fleet.settlements().ImportSettlements(settlements_pb2.ImportSettlementsRequest(), timeout=60)

    async def dispute() -> Any:
        request = disputes_pb2.ListDisputesRequest(payment_ids=[paid["paymentId"]])
        disputes = (await fleet.disputes().ListDisputes(request, timeout=10)).disputes
        return disputes[0].dispute.dispute_id if disputes else None

    async def settlement() -> Any:
        request = settlements_pb2.ListSettlementRowsRequest(payment_ids=[paid["paymentId"]])
        rows = (await fleet.settlements().ListSettlementRows(request, timeout=10)).rows
        return rows[0].settlement_id if rows else None

    async def journal() -> Any:
        request = ledger_pb2.ListJournalsRequest(reference=paid["paymentId"], limit=1)
        journals = (await fleet.ledger().ListJournals(request, timeout=10)).journals
        return journals[0].journal_id if journals else None

    run = await fleet.reconciler().Run(reconciler_pb2.RunRequest(actor="operator:test"), timeout=60)
    return {
        "refundId": refund.refund.refund_id,
        "approvalId": proposed.error.fields["approvalId"],
        "disputeId": await journey.until(dispute, "the dispute", 60),
        "settlementId": await journey.until(settlement, "the settlement", 60),
        "journalId": await journey.until(journal, "the journal", 60),
        "runId": run.run_id,
    }


# Refusals that say nothing of the thing.
NOT_SHOWN = {
    "payment_not_found",
    "order_not_found",
    "gateway_account_unknown",
    "batch_not_found",
    "review_not_found",
    "user_not_found",
    "session_not_found",
    "approval_not_found",
    "refund_not_found",
    "settlement_not_found",
    "dispute_not_found",
    "journal_not_found",
    "case_not_found",
    "run_not_found",
    "api_key_not_found",
    "webhook_endpoint_not_found",
    "webhook_not_found",
    "merchant_not_platform",
    "role_missing",
    "rights_outdated",
    "member_not_found",
    "invitation_not_found",
    "role_not_found",
    "second_factor_missing",
}


def body_of(route: Route[Any]) -> Any:
    """A good body of what the route takes; None when it takes none."""
    if route.body is None:
        return None
    fields = msgspec.structs.fields(route.body)
    assert FIELDS.keys() >= {each.encode_name for each in fields if each.required}, f"{named(route)}: see FIELDS"
    body = {each.encode_name: FIELDS[each.encode_name] for each in fields if each.encode_name in FIELDS}
    return body | ({"verdict": "APPROVE"} if "/approvals/" in route.path else {})
