"""The whole process, as it is started in production."""

from collections.abc import Callable
from typing import Any

import aio_pika
import httpx
import pytest

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.common.v1.events_pb2 import AuditRecorded
from common.testing import RunningService, start, until

Json = dict[str, Any]
BuildForm = Callable[..., dict[str, str]]
Bearer = Callable[[Json], dict[str, str]]


def entered_credentials(form: dict[str, str]) -> dict[str, str]:
    return {name: form[name] for name in ("email", "password")}


@pytest.fixture
def own_settings(settings_env: dict[str, str], token_key: str) -> dict[str, str]:
    keys_url = f"http://127.0.0.1:{settings_env['HTTP_PORT']}/.well-known/jwks.json"
    return {"TOKEN_PRIVATE_KEY": token_key, "IDENTITY_JWKS_URL": keys_url, "EMAIL_VERIFICATION": "optional"}


@pytest.mark.parametrize("times", [2])
async def test_migrate_may_be_run_again(
    settings_env: dict[str, str], migration_env: dict[str, str], token_key: str, times: int
) -> None:
    for _ in range(times):
        process = await start("identity", "migrate", **migration_env, TOKEN_PRIVATE_KEY=token_key)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()


async def test_a_user_lives_in_a_running_service(
    running_service: RunningService, form: BuildForm, bearer: Bearer, broker_admin_url: str
) -> None:
    """It verifies its own tokens by its own key set, and what it did is in the queue of the ledger."""
    http = running_service.http
    entered = form()
    assert (await http.post("/api/v1/users/signup", json=entered)).status_code == 202
    session = (await http.post("/api/v1/users/login", json=entered_credentials(entered))).json()["data"]

    async def profile() -> Json | None:
        # The service fetches its own key set anew every few seconds while it has none.
        response = await http.get("/api/v1/users/profile", headers=bearer(session))
        return response.json()["data"] if response.status_code == 200 else None

    shown = await until(profile)
    assert shown is not None
    assert shown["userId"] == session["user"]["_id"]
    async with await aio_pika.connect(broker_admin_url) as connection:
        queue = await (await connection.channel()).get_queue("audit.log")
        message = await queue.get(timeout=5, no_ack=True)
    assert message is not None
    envelope = Envelope.FromString(message.body)
    assert AuditRecorded.FromString(envelope.events[0]).action == "user.signup"


async def test_an_operator_makes_an_administrator(
    settings_env: dict[str, str], token_key: str, http: httpx.AsyncClient, form: BuildForm
) -> None:
    async def create_admin(email: str, password: str) -> tuple[int | None, str]:
        environment = {"TOKEN_PRIVATE_KEY": token_key, "IDENTITY_ADMIN_PASSWORD": password}
        process = await start("identity", "create-admin", "--email", email, **environment)
        output, _ = await process.communicate()
        return process.returncode, output.decode().strip().splitlines()[-1]

    assert await create_admin("root@example.com", "a new staple") == (
        0,
        "root@example.com is an administrator now",
    )
    body = {"email": "root@example.com", "password": "a new staple"}
    assert (await http.post("/api/v1/users/login", json=body)).json()["data"]["user"]["type"] == "ADMIN"
    # A user who has signed up before keeps their password.
    member = form()
    await http.post("/api/v1/users/signup", json=member)
    code, output = await create_admin(member["email"], "another password")
    assert (code, "password is unchanged" in output) == (0, True)
    response = await http.post("/api/v1/users/login", json={"email": member["email"], "password": member["password"]})
    assert response.status_code == 200
    code, output = await create_admin("root", "short")
    assert code == 1
    assert "email is not an e-mail address" in output
