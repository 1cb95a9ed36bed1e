"""The whole process, as it is started in production."""

import asyncio
import os
import signal
import sys

import aio_pika
import httpx
import pytest

from commdesk.common.v1.common_pb2 import Envelope
from commdesk.ledger.v1.events_pb2 import AuditRecorded


async def run(*arguments, **environment):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "identity", *arguments),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


@pytest.fixture
async def started(settings_env, token_key, monkeypatch):
    monkeypatch.setenv("TOKEN_PRIVATE_KEY", token_key)
    url = f"http://127.0.0.1:{settings_env['HTTP_PORT']}"
    monkeypatch.setenv("IDENTITY_JWKS_URL", f"{url}/.well-known/jwks.json")
    process = await run()
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(300):
                if process.returncode is not None:
                    pytest.fail((await process.stdout.read()).decode())
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
            yield client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize("times", [2])
async def test_migrate_may_be_run_again(settings_env, token_key, times):
    for _ in range(times):
        process = await run("migrate", TOKEN_PRIVATE_KEY=token_key)
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()


async def test_a_user_lives_in_a_running_service(started, form, bearer, broker_admin_url):
    """It verifies its own tokens by its own key set, and what it did is in the queue of the ledger."""
    session = (await started.post("/api/v1/users/signup", json=form())).json()["data"]
    for _ in range(50):
        answer = await started.get("/api/v1/users/profile", headers=bearer(session))
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
        process = await run(
            "create-admin", "--email", email, TOKEN_PRIVATE_KEY=token_key, IDENTITY_ADMIN_PASSWORD=password
        )
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
