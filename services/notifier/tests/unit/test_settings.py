"""Wrong addresses and open passwords stop the process at its start."""

import base64
import os

import pytest
from pydantic import ValidationError

from common.settings import problems
from notifier.settings import Settings


def _settings(**changes: object) -> Settings:
    needed = {
        "environment": "test",
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


@pytest.mark.parametrize(
    ("mail", "refused"),
    [
        ({"SMTP_HOST": "127.0.0.1"}, False),
        ({"SMTP_HOST": "127.0.0.1", "SMTP_USERNAME": "u"}, True),
        ({"SMTP_HOST": "mail.example.in"}, True),
        ({"SMTP_HOST": "mail.example.in", "SMTP_TLS": "none"}, True),
        ({"SMTP_HOST": "mail.example.in", "SMTP_TLS": "starttls", "SMTP_USERNAME": "u"}, False),
        ({"SMTP_HOST": "mail.example.in", "SMTP_TLS": "implicit"}, False),
    ],
)
def test_mails_leave_a_machine_encrypted_in_production(mail: dict[str, str], refused: bool) -> None:
    assert any("SMTP_TLS" in text for _, text in problems(Settings, mail)) == refused
    assert not any("SMTP_TLS" in text for _, text in problems(Settings, {"ENVIRONMENT": "development", **mail}))


def test_production_asks_for_the_addresses_of_mails() -> None:
    required = {name for name, text in problems(Settings, {}) if "is required" in text}
    assert {"SMTP_HOST", "SENDER_EMAIL", "SUPPORT_EMAIL"} <= required
