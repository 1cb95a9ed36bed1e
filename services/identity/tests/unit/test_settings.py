from collections.abc import Callable
from datetime import timedelta

import pytest

from identity.settings import Settings


def _read() -> Settings:
    return Settings()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, make_key: Callable[[], str]) -> pytest.MonkeyPatch:
    variables = {
        "ENVIRONMENT": "test",
        "DATABASE_URL": "postgresql://identity@127.0.0.1/x",
        "RABBITMQ_URL": "amqp://identity@127.0.0.1/x",
        "SERVICE_PRIVATE_KEY": make_key(),
        "SERVICE_PUBLIC_KEYS": "{}",
        "ENCRYPTION_KEYS": make_key(),
        "BLIND_INDEX_KEY": make_key(),
        "TOKEN_PRIVATE_KEY": make_key(),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_older_names_are_accepted_and_the_newer_ones_win(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TOKEN_LIFE", "6d")
    environment.setenv("REFRESH_LIFE", "8d")
    assert (_read().token_expiry, _read().refresh_expiry) == (timedelta(days=6), timedelta(days=8))
    environment.setenv("TOKEN_EXPIRY", "7d")
    environment.setenv("REFRESH_EXPIRY", "9d")
    assert (_read().token_expiry, _read().refresh_expiry) == (timedelta(days=7), timedelta(days=9))


@pytest.mark.parametrize(("name", "value"), [("TOKEN_EXPIRY", "30d"), ("TOKEN_EXPIRY", "1s"), ("REFRESH_EXPIRY", "60")])
def test_lives_that_make_no_sense_stop_the_service(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(ValueError, match="TOKEN_EXPIRY"):
        _read()


@pytest.mark.parametrize("value", ["short", "c2hvcnQ=", "not base64, but thirty-two bytes!"])
def test_a_key_that_is_none_stops_the_service(environment: pytest.MonkeyPatch, value: str) -> None:
    environment.setenv("TOKEN_PRIVATE_KEY", value)
    with pytest.raises(ValueError, match="TOKEN_PRIVATE_KEY"):
        _read()


@pytest.mark.parametrize(("name", "value"), [("HASHING_MEMORY_KIB", "8"), ("HASHING_PASSES", "1")])
def test_weak_hashing_stops_the_service_in_production(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv(name, value)
    assert _read()
    environment.setenv("ENVIRONMENT", "production")
    with pytest.raises(ValueError, match="HASHING_MEMORY_KIB"):
        _read()


def test_keys_that_everybody_knows_stop_the_service_in_production(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TEST_MERCHANT", "true")
    assert _read().test_merchant
    environment.setenv("ENVIRONMENT", "production")
    with pytest.raises(ValueError, match="TEST_MERCHANT"):
        _read()
