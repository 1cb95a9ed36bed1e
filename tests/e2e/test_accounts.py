"""Accounts through the edge: sign up, mail, verify; forget the password, mail, set a new one."""

import asyncio
import base64
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ops import journey
from ops.credentials import load_or_generate
from ops.fleet import service_environment
from ops.fleet_client import Answer, FleetClient
from ops.journey import until
from ops.ports import Layout

from .test_journey import run_command

# The first test waits for the whole fleet, on a machine that others use as well.
pytestmark = pytest.mark.timeout(600)

USERS = "/api/v1/users"


async def post(fleet: FleetClient, path: str, body: dict[str, str], token: str = "") -> Answer:
    return await fleet.edge("POST", USERS + path, body, token=token)


async def mailed_link(fleet: FleetClient, email: str, subject: str) -> str:
    """The link in the newest mail with *subject*."""

    async def look() -> str | None:
        mails = await fleet.mails(to=email, subject=subject)
        match = re.search(r"https?://\S+", mails[0]["text"]) if mails else None
        return match.group() if match else None

    return await until(look, f"the mail {subject!r}")


async def mailed_token(fleet: FleetClient, email: str, subject: str) -> str:
    link = await mailed_link(fleet, email, subject)
    page, _, token = link.partition("#token=")
    assert page.startswith(f"{fleet.description['edge_url']}/account/")
    return token


async def administrator(fleet: FleetClient, layout: Layout) -> tuple[dict[str, str], str]:
    """What a new administrator logs in with, and an access token."""
    credentials = {"email": f"root.{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(16)}
    environment = service_environment(
        layout, load_or_generate(layout.run_dir / "secrets.json"), "identity", os.environ
    ) | {"IDENTITY_ADMIN_PASSWORD": credentials["password"]}
    command = [sys.executable, "-m", "identity", "create-admin", "--email", credentials["email"]]
    await asyncio.to_thread(subprocess.run, command, env=environment, check=True)
    return credentials, (await post(fleet, "/login", credentials)).data["token"]


async def next_code(secret: bytes, used: str = "") -> str:
    """A code of the authenticator app that was not used yet."""
    while (code := TOTP(secret, 6, SHA1(), 30).generate(int(time.time())).decode()) == used:
        await asyncio.sleep(0.5)
    return code


async def test_staff_with_a_second_factor_step_up_before_they_act(fleet: FleetClient, layout: Layout) -> None:
    credentials, token = await administrator(fleet, layout)
    password = {"password": credentials["password"]}
    secret = base64.b32decode((await post(fleet, "/second-factor", password, token)).data["secret"])
    code = await next_code(secret)
    confirmed = await post(fleet, "/second-factor/confirm", {"code": code}, token)
    assert len(confirmed.data["recoveryCodes"]) == 10
    # A login has two steps now; the session from before has proved too little for acts of staff.
    refused = await post(fleet, "/login", credentials)
    assert (refused.status, refused.data["code"]) == (401, "second_factor_required")
    assert (await post(fleet, "/login", {**credentials, "code": confirmed.data["recoveryCodes"][0]})).status == 200

    member = await journey.sign_up(fleet)
    created = await journey.create(fleet, member, pack_id="pack_500")
    decision = {"reason": "a decision of the test", "version": "0" * 16}
    acts = [
        ("POST", f"/api/v1/payments/reviews/{created['paymentId']}/dismiss", decision),
        ("POST", f"/api/v1/payments/{created['paymentId']}/cancel", {}),
        ("POST", f"/api/v1/fraud/reviews/{created['paymentId']}/decision", {"verdict": "ALLOW", "reason": "looked at"}),
        ("PUT", f"{USERS}/{member.user_id}/access", {"roles": ["USER", "SUPPORT"]}),
    ]
    for method, path, body in acts:
        answer = await fleet.edge(method, path, body, token=token)
        assert (answer.status, answer.data["code"]) == (403, "step_up_required"), path
    again = await post(fleet, "/step-up", {**password, "code": await next_code(secret, code)}, token)
    assert again.status == 200, again.body
    # The token from before, which somebody may have stolen, is lifted by nothing.
    method, path, body = acts[-1]
    assert (await fleet.edge(method, path, body, token=token)).data["code"] == "step_up_required"
    answers = [await fleet.edge(*act, token=again.data["token"]) for act in acts]
    # What the acts say themselves: neither payment waits for a review, the others are carried out.
    assert [answer.data.get("code", "") for answer in answers if answer.status == 403] == []
    assert [answer.status for answer in (answers[1], answers[3])] == [200, 200]


async def test_an_operator_removes_a_lost_second_factor(
    fleet: FleetClient, layout: Layout, commdesk: Sequence[str]
) -> None:
    credentials, token = await administrator(fleet, layout)
    secret = base64.b32decode(
        (await post(fleet, "/second-factor", {"password": credentials["password"]}, token)).data["secret"]
    )
    await post(fleet, "/second-factor/confirm", {"code": await next_code(secret)}, token)
    assert (await post(fleet, "/login", credentials)).data["code"] == "second_factor_required"
    command = ("person", "remove-second-factor", credentials["email"], "--yes", "--reason", "a lost phone")
    for expected, shown in ((0, "has no second factor now"), (1, "there is no second factor")):
        code, output = await run_command(commdesk, *command)
        assert code == expected, output
        assert shown in output
    assert (await post(fleet, "/login", credentials)).status == 200


async def test_an_address_is_verified_and_a_password_reset_by_mail(fleet: FleetClient) -> None:
    email, password, new = (f"mira.{secrets.token_hex(6)}@example.com", *(secrets.token_urlsafe(12) for _ in "ab"))
    person = {"email": email, "name": "Mira Rao", "password": password, "confirmPassword": password}
    answers = [await post(fleet, "/signup", person) for _ in range(2)]
    assert [(each.status, each.data) for each in answers] == [
        (202, {"email": email, "name": "Mira Rao", "type": "USER"})
    ] * 2
    token = await mailed_token(fleet, email, "Verify your e-mail address")
    proof = {"token": token, "password": password}
    # The link alone hands the account to nobody: a stranger may have signed up with the address.
    assert (await post(fleet, "/email/verify", proof | {"password": new})).data["code"] == "password_wrong"
    assert (await post(fleet, "/email/verify", proof)).status == 200
    assert (await post(fleet, "/email/verify", proof)).data["code"] == "account_token_invalid"
    # The second sign-up told the owner and nobody else.
    assert "token" not in await mailed_link(fleet, email, "You already have an account")

    session = (await post(fleet, "/login", {"email": email, "password": password})).data
    profile = await fleet.edge("GET", f"{USERS}/profile", token=session["token"])
    assert profile.data["isEmailVerified"] is True
    for address in (email, f"nobody.{secrets.token_hex(6)}@example.com"):
        answer = await post(fleet, "/password/forgot", {"email": address})
        assert (answer.status, answer.data) == (202, {})
    reset = {"token": await mailed_token(fleet, email, "Set a new password"), "password": new, "confirmPassword": new}
    assert (await post(fleet, "/password/reset", reset)).status == 200
    assert (await post(fleet, "/password/reset", reset)).status == 400
    assert (await post(fleet, "/refresh", {"refreshToken": session["refreshToken"]})).status == 401

    async def is_revoked() -> bool | None:
        return (await fleet.edge("GET", f"{USERS}/profile", token=session["token"])).status == 401 or None

    await until(is_revoked, "the end of the old session's access token", 5)
    assert (await post(fleet, "/login", {"email": email, "password": password})).status == 401
    assert (await post(fleet, "/login", {"email": email, "password": new})).status == 200
