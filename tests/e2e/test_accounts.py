"""Accounts through the edge: sign up, mail, verify; forget the password, mail, set a new one."""

import re
import secrets

from ops.fleet_client import Answer, FleetClient
from ops.journey import until

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


async def test_an_address_is_verified_and_a_password_reset_by_mail(fleet: FleetClient) -> None:
    email, password, new = (f"mira.{secrets.token_hex(6)}@example.com", *(secrets.token_urlsafe(12) for _ in "ab"))
    person = {"email": email, "name": "Mira Rao", "password": password, "confirmPassword": password}
    answers = [await post(fleet, "/signup", person) for _ in range(2)]
    assert [(each.status, each.data) for each in answers] == [
        (202, {"email": email, "name": "Mira Rao", "type": "USER"})
    ] * 2
    token = await mailed_token(fleet, email, "Verify your e-mail address")
    assert (await post(fleet, "/email/verify", {"token": token})).status == 200
    assert (await post(fleet, "/email/verify", {"token": token})).data["code"] == "account_token_invalid"
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
