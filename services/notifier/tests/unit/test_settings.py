"""Wrong addresses and open passwords stop the process at its start."""

import base64
import os

import pytest
from pydantic import ValidationError

from notifier.settings import Settings


def _settings(**changes: object) -> Settings:
    needed = {
        "database_url": "postgresql://notifier:a-long-and-odd-one@localhost/x",
        "rabbitmq_url": "amqp://localhost",
        "service_private_key": base64.b64encode(os.urandom(32)).decode(),
        "service_public_keys": {},
        "encryption_keys": base64.b64encode(os.urandom(32)).decode(),
        "blind_index_key": base64.b64encode(os.urandom(32)).decode(),
    }
    return Settings(**(needed | changes))  # type: ignore[arg-type]


def test_operators_are_a_list() -> None:
    assert _settings(admin_email="a@b.in, c@d.in,").admin_email == ("a@b.in", "c@d.in")
    assert _settings().admin_email == ()


@pytest.mark.parametrize("name", ["sender_email", "support_email", "admin_email"])
def test_addresses_are_checked(name: str) -> None:
    with pytest.raises(ValidationError, match="e-mail addresses"):
        _settings(**{name: "a@b.in\r\nBcc: x@y.in"})


def test_production_does_not_log_in_without_tls() -> None:
    login = {"environment": "production", "smtp_username": "u", "smtp_password": "f8Jq2mXw9Lr4Tz7B"}
    with pytest.raises(ValidationError, match="SMTP_TLS"):
        _settings(**login)
    assert _settings(**login, smtp_tls="starttls").smtp_tls == "starttls"
