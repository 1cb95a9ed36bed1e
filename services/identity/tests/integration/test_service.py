"""The whole process, as it is started in production."""

import asyncio

import aio_pika
import pytest

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.common.v1.events_pb2 import AuditRecorded
from common.testing import start


@pytest.fixture
def own_settings(settings_env, token_key):
    keys_url = f"http://127.0.0.1:{settings_env['HTTP_PORT']}/.well-known/jwks.json"
    return {"TOKEN_PRIVATE_KEY": token_key, "IDENTITY_JWKS_URL": keys_url}


@pytest.mark.parametrize("times", [2])
async def test_migrate_may_be_run_again(settings_env, token_key, times):
    for _ in range(times):
        process = await start("identity", "migrate", TOKEN_PRIVATE_KEY=token_key)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()


async def test_a_user_lives_in_a_running_service(running_service, form, bearer, broker_admin_url):
    """It verifies its own tokens by its own key set, and what it did is in the queue of the ledger."""
    http = running_service.http
    session = (await http.post("/api/v1/users/signup", json=form())).json()["data"]
    for _ in range(50):
        answer = await http.get("/api/v1/users/profile", headers=bearer(session))
        if answer.status_code == 200:
            break
        # The key set is fetched anew at most every few seconds when the door was not open at the start.
        await asyncio.sleep(0.2)
    assert answer.json()["data"]["_id"] == session["user"]["_id"]
    async with await aio_pika.connect(broker_admin_url) as connection:
        queue = await (await connection.channel()).get_queue("audit.log")
        message = await queue.get(timeout=5, no_ack=True)
    envelope = Envelope.FromString(message.body)
    assert AuditRecorded.FromString(envelope.events[0]).action == "user.signup"


async def test_an_operator_makes_an_administrator(settings_env, token_key, http, form):
    async def create_admin(email, password):
        environment = {"TOKEN_PRIVATE_KEY": token_key, "IDENTITY_ADMIN_PASSWORD": password}
        process = await start("identity", "create-admin", "--email", email, **environment)
        output, _ = await process.communicate()
        return process.returncode, output.decode().strip().splitlines()[-1]

    assert await create_admin("root@example.com", "an administrator's") == (
        0,
        "root@example.com is an administrator now",
    )
    body = {"email": "root@example.com", "password": "an administrator's"}
    assert (await http.post("/api/v1/users/login", json=body)).json()["data"]["user"]["type"] == "ADMIN"
    # Somebody who has signed up already keeps the password they have.
    member = form()
    await http.post("/api/v1/users/signup", json=member)
    code, said = await create_admin(member["email"], "another password")
    assert (code, "password is the one they had" in said) == (0, True)
    answer = await http.post("/api/v1/users/login", json={"email": member["email"], "password": member["password"]})
    assert answer.status_code == 200
    code, said = await create_admin("root", "short")
    assert code == 1
    assert "email is not an e-mail address" in said
