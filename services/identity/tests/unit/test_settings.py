from datetime import timedelta

import pytest

from identity.settings import Settings, duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("90", timedelta(seconds=90)),
    ],
)
def test_durations_are_read(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "d", "1.5h", "-1d", "7 days", "7w"])
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="a duration is"):
        duration(text)


@pytest.fixture
def environment(monkeypatch, make_key):
    given = {
        "DATABASE_URL": "postgresql://identity@127.0.0.1/x",
        "RABBITMQ_URL": "amqp://identity@127.0.0.1/x",
        "SERVICE_PRIVATE_KEY": make_key(),
        "SERVICE_PUBLIC_KEYS": "{}",
        "TOKEN_PRIVATE_KEY": make_key(),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_old_name_of_the_life_is_accepted(environment):
    environment.setenv("TOKEN_EXPIRY", "7d")
    assert Settings().token_life == timedelta(days=7)


@pytest.mark.parametrize(("name", "value"), [("TOKEN_EXPIRY", "30d"), ("TOKEN_EXPIRY", "1s"), ("REFRESH_LIFE", "60")])
def test_lives_that_make_no_sense_stop_the_service(environment, name, value):
    environment.setenv(name, value)
    with pytest.raises(ValueError, match="TOKEN_EXPIRY"):
        Settings()


@pytest.mark.parametrize("value", ["short", "c2hvcnQ=", "not base64, but thirty-two bytes!"])
def test_a_key_that_is_none_stops_the_service(environment, value):
    environment.setenv("TOKEN_PRIVATE_KEY", value)
    with pytest.raises(ValueError, match="TOKEN_PRIVATE_KEY"):
        Settings()
