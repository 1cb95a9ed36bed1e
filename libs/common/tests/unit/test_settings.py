import base64
import os
from datetime import timedelta

import pytest
from pydantic import ValidationError

from common.settings import ServiceSettings, duration, duration_text, read

KEY = base64.b64encode(bytes(range(32))).decode()
PUBLIC_KEY = base64.b64encode(bytes(range(32, 64))).decode()
GOOD = {
    "ENVIRONMENT": "development",
    "DATABASE_URL": "postgresql://wallet:Zk3vQ9xw7TpL@127.0.0.1:1/commdesk",
    "RABBITMQ_URL": "amqp://wallet:Hq8mN2rb5YcD@127.0.0.1:1/",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SERVICE_PRIVATE_KEY": KEY,
    "SERVICE_PUBLIC_KEYS": f'{{"wallet": "{PUBLIC_KEY}"}}',
    "ENCRYPTION_KEYS": f"k1:{KEY}",
    "BLIND_INDEX_KEY": PUBLIC_KEY,
}


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_older_names_are_accepted(env: pytest.MonkeyPatch):
    env.delenv("ENVIRONMENT")
    for name, value in {"NODE_ENV": "Test", "PORT": "3000", "LOG_LEVEL": "warning", "MONGO_URI": "x"}.items():
        env.setenv(name, value)
    settings = read(ServiceSettings)
    assert (settings.environment, settings.http_port, settings.log_level) == ("test", 3000, "WARNING")


def test_our_names_win(env: pytest.MonkeyPatch):
    env.setenv("PORT", "3000")
    env.setenv("HTTP_PORT", "8001")
    assert read(ServiceSettings).http_port == 8001


def test_the_retry_schedule_is_comma_separated_and_grows(env: pytest.MonkeyPatch):
    env.setenv("RETRY_SCHEDULE_MS", "100, 200,300")
    assert read(ServiceSettings).retry_schedule_ms == (100, 200, 300)
    for wrong in ("200,100", "0,1", "1,1", "x"):
        env.setenv("RETRY_SCHEDULE_MS", wrong)
        with pytest.raises(SystemExit, match="RETRY_SCHEDULE_MS"):
            read(ServiceSettings)


def test_redis_may_come_in_parts(env: pytest.MonkeyPatch):
    env.delenv("REDIS_URL")
    env.setenv("REDIS_HOST", "cache")
    env.setenv("REDIS_PORT", "6380")
    env.setenv("REDIS_PASSWORD", "p@ss/word")
    assert read(ServiceSettings).redis_url == "redis://default:p%40ss%2Fword@cache:6380/0"


def test_a_missing_value_stops_the_process_with_its_name(env: pytest.MonkeyPatch):
    env.delenv("DATABASE_URL")
    with pytest.raises(SystemExit, match="DATABASE_URL"):
        read(ServiceSettings)


def test_keys_that_are_no_json_stop_the_process_with_their_name(env: pytest.MonkeyPatch):
    env.setenv("SERVICE_PUBLIC_KEYS", "wallet=abc")
    with pytest.raises(SystemExit, match=r"(?i)service_public_keys") as stopped:
        read(ServiceSettings)
    assert "abc" not in str(stopped.value)


def test_a_key_that_is_none_is_refused_without_being_shown(env: pytest.MonkeyPatch):
    env.setenv("SERVICE_PRIVATE_KEY", "not-really-a-key")
    with pytest.raises(SystemExit) as stopped:
        read(ServiceSettings)
    assert "SERVICE_PRIVATE_KEY" in str(stopped.value)
    assert "not-really-a-key" not in str(stopped.value)


@pytest.mark.parametrize("name", ["ENCRYPTION_KEYS", "ENCRYPTION_KEY", "PAYMENT_ENCRYPTION_KEY"])
def test_older_names_of_the_encryption_keys_are_accepted(env: pytest.MonkeyPatch, name: str):
    env.delenv("ENCRYPTION_KEYS")
    env.setenv(name, KEY)
    assert len(read(ServiceSettings).sealer().key_ids) == 1


@pytest.mark.parametrize("name", ["ENCRYPTION_KEYS", "BLIND_INDEX_KEY"])
def test_nothing_starts_without_the_keys_that_seal_personal_data(env: pytest.MonkeyPatch, name: str):
    env.delenv(name)
    with pytest.raises(SystemExit, match=name):
        read(ServiceSettings)
    of_lists = (f"k1:{'A' * 43}=", f"a:{KEY},b:{KEY}", f"a b:{KEY}", f"{KEY},") if name == "ENCRYPTION_KEYS" else ()
    for wrong in ("tooshort", f"{'A' * 43}=", *of_lists):
        env.setenv(name, wrong)
        with pytest.raises(SystemExit) as stopped:
            read(ServiceSettings)
        assert wrong not in str(stopped.value)
    env.setenv(name, KEY)
    assert read(ServiceSettings)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_no_time_is_endless(env: pytest.MonkeyPatch, value: str):
    env.setenv("SHUTDOWN_GRACE_SECONDS", value)
    with pytest.raises(SystemExit, match="SHUTDOWN_GRACE_SECONDS"):
        read(ServiceSettings)


def test_settings_are_frozen_and_do_not_show_secrets(env: pytest.MonkeyPatch):
    env.setenv("JWT_SECRET", "Zk3vQ9xw7TpLHq8mN2rb5YcDb7Rt1Lw4")
    settings = read(ServiceSettings)
    shown = repr(settings) + str(settings)
    assert not any(secret in shown for secret in ("Zk3vQ9xw7TpL", "Hq8mN2rb5YcD", KEY))
    with pytest.raises(ValidationError):
        settings.http_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("90", timedelta(seconds=90)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert duration(text) == expected
    assert duration(duration_text(expected)) == expected


@pytest.mark.parametrize("text", ["", "d", "1.5h", "-1d", "7 days", "7w"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        duration(text)


def test_a_duration_is_written_in_its_largest_whole_unit() -> None:
    assert [duration_text(timedelta(minutes=m)) for m in (15, 60, 90, 60 * 24 * 30)] == ["15m", "1h", "90m", "30d"]
    assert [duration_text(timedelta(seconds=s)) for s in (0, 90)] == ["0s", "90s"]


def test_hs256_is_off_unless_it_is_switched_on_with_a_secret(env: pytest.MonkeyPatch):
    assert not read(ServiceSettings).jwt_hs256_enabled
    env.setenv("JWT_HS256_ENABLED", "true")
    with pytest.raises(SystemExit, match="JWT_SECRET"):
        read(ServiceSettings)


@pytest.mark.parametrize("url", ["http://identity:8000/.well-known/jwks.json", "ftp://identity/jwks", "identity"])
def test_production_fetches_token_keys_by_tls_only(env: pytest.MonkeyPatch, url: str):
    """An attacker who can change that response in transit can sign tokens for any user."""
    env.setenv("IDENTITY_JWKS_URL", url)
    read(ServiceSettings)
    env.setenv("ENVIRONMENT", "production")
    with pytest.raises(SystemExit, match="IDENTITY_JWKS_URL: must begin with https"):
        read(ServiceSettings)
