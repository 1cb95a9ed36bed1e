"""Production starts on nothing that is weak, open or left to a default, and says all of it at once."""

import base64
import itertools
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from common.secret_strength import is_weak
from common.setting_checks import rule
from common.settings import ServiceSettings, problems, read

PRIVATE = Ed25519PrivateKey.generate()
GOOD = {
    "DATABASE_URL": "postgresql://wallet:Zk3vQ9xw7TpL@db.internal/commdesk?sslmode=verify-full",
    "RABBITMQ_URL": "amqps://wallet:Hq8mN2rb5YcD@broker.internal/commdesk",
    "REDIS_URL": "rediss://wallet:b5YcDb7Rt1Lw@cache.internal:6379/0",
    "SERVICE_PRIVATE_KEY": base64.b64encode(PRIVATE.private_bytes_raw()).decode(),
    "SERVICE_PUBLIC_KEYS": json.dumps({"wallet": base64.b64encode(PRIVATE.public_key().public_bytes_raw()).decode()}),
    "PUBLIC_URL": "https://pay.commdesk.in",
    "IDENTITY_JWKS_URL": "https://pay.commdesk.in/.well-known/jwks.json",
    "IDENTITY_ADDRESS": "identity:9000",
    "GRPC_TLS": "mesh",
    "ENCRYPTION_KEYS": f"k2:{base64.b64encode(secrets.token_bytes(32)).decode()},"
    f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "BLIND_INDEX_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
}
STRONG = "Zk3vQ9xw7TpLHq8mN2rb5YcDb7Rt1Lw4"


class Settings(ServiceSettings):
    smtp_password: SecretStr = SecretStr("")


def found(**changes: str) -> list[str]:
    """What production finds wrong; an empty change leaves the variable out."""
    return [f"{name}: {text}" for name, text in problems(Settings, {**GOOD, **changes})]


def test_production_starts_on_what_is_right() -> None:
    assert found() == []
    assert found(JWT_SECRET=STRONG, SMTP_PASSWORD=STRONG[::-1], AMQP_USER_ID="on") == []
    assert read(Settings, GOOD).environment == "production"


@pytest.mark.parametrize("said", ["", "prod", "staging", "PRODUCTION"])
def test_nothing_but_development_or_test_is_lenient(said: str) -> None:
    assert any("RABBITMQ_URL: has no password" in each for each in found(ENVIRONMENT=said, RABBITMQ_URL="amqps://w@h/"))


@pytest.mark.parametrize("said", ["development", "Test"])
def test_development_is_said(said: str) -> None:
    local = {"ENVIRONMENT": said, "RABBITMQ_URL": "amqp://h/", "DATABASE_URL": "postgresql://h/d", "GRPC_TLS": "off"}
    assert found(**local, REDIS_URL="redis://h", JWT_SECRET="short", PUBLIC_URL="", IDENTITY_JWKS_URL="") == []


@pytest.mark.parametrize("name", [*GOOD])
def test_what_is_missing_is_named(name: str) -> None:
    assert any(each.startswith(f"{name}: is required") for each in found(**{name: ""}))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "postgresql://wallet@h/d?sslmode=verify-full", "has no password"),
        ("DATABASE_URL", "postgresql://wallet:wallet@h/d?sslmode=verify-full", "its password"),
        ("DATABASE_URL", "postgresql://:Zk3vQ9xw7TpL@h/d?sslmode=verify-full", "names no user"),
        ("DATABASE_URL", "postgresql://postgres:Zk3vQ9xw7TpL@h/d?sslmode=verify-full", "administrator"),
        ("DATABASE_URL", "postgresql://h/d?sslmode=verify-full&user=w&password=Zk3vQ9xw7TpL", "may not hold"),
        ("DATABASE_URL", "postgresql://w:Zk3vQ9xw7TpL@h/d?sslmode=verify-full&host=evil.example", "may not hold host"),
        ("DATABASE_URL", "postgresql://w:Zk3vQ9xw7TpL@h/d?sslmode=verify-full&sslmode=disable", "twice"),
        (
            "DATABASE_URL",
            "postgresql://w:Zk3vQ9xw7TpL@h/d?sslmode=verify-full&passfile=/tmp/x",
            "may not hold passfile",
        ),
        ("DATABASE_URL", "postgresql://w:Zk3vQ9xw7TpL@h/?sslmode=verify-full", "names no database"),
        ("DATABASE_URL", "mysql://w:Zk3vQ9xw7TpL@h/d", "postgresql://"),
        *(
            ("DATABASE_URL", f"postgresql://w:Zk3vQ9xw7TpL@h/d{mode}", "verify-full")
            for mode in ("", *(f"?sslmode={mode}" for mode in ("disable", "prefer", "require", "verify-ca", "")))
        ),
        ("DATABASE_MIGRATION_URL", "postgresql://wallet_owner@h/d?sslmode=verify-full", "has no password"),
        ("RABBITMQ_URL", "amqp://wallet:Hq8mN2rb5YcD@h/v", "must begin with amqps://"),
        ("RABBITMQ_URL", "amqps://h/v", "names no user"),
        ("RABBITMQ_URL", "amqps://guest:guest@h/v", "administrator"),
        ("RABBITMQ_URL", "amqps://wallet:Hq8mN2rb5YcD@h/v?no_verify_ssl=1", "may not hold no_verify_ssl"),
        ("RABBITMQ_MIGRATION_URL", "amqps://migrator:migrator@h/v", "its password"),
        ("REDIS_URL", "redis://wallet:b5YcDb7Rt1Lw@h", "must begin with rediss://"),
        ("REDIS_URL", "rediss://h", "has no password"),
        ("REDIS_URL", "rediss://:redis@h", "its password"),
        ("REDIS_URL", "rediss://:b5YcDb7Rt1Lw@h", "names no user"),
        ("REDIS_URL", "rediss://w:b5YcDb7Rt1Lw@h?ssl_cert_reqs=none", "may not hold ssl_cert_reqs"),
        ("REDIS_URL", "rediss://w:b5YcDb7Rt1Lw@h?password=x", "may not hold password"),
        ("REDIS_URL", "rediss://w:b5YcDb7Rt1Lw@h:notaport", "is no URL"),
        ("IDENTITY_JWKS_URL", "http://pay.commdesk.in/.well-known/jwks.json", "https://"),
        ("IDENTITY_JWKS_URL", "https://127.0.0.1/jwks", "this machine"),
        ("PUBLIC_URL", "http://pay.commdesk.in", "https://"),
        ("PUBLIC_URL", "https://u:p@pay.commdesk.in", "login"),
        ("AMQP_USER_ID", "off", "needs it on"),
        ("AMQP_USER_ID", "False", "needs it on"),
        ("GRPC_TLS", "off", "mutual or mesh"),
        ("JWT_SECRET", "my-default-secret-change-me-please-0123456789", "a default"),
        ("JWT_SECRET", STRONG[:31], "shorter than 32"),
        ("SMTP_PASSWORD", "b5YcDb7Rt1", "shorter than 16"),
        ("SERVICE_PRIVATE_KEY", base64.b64encode(bytes(32)).decode(), "a default"),
        ("ENCRYPTION_KEYS", GOOD["ENCRYPTION_KEYS"] + ",k0:tooshort", "shorter than 32"),
        ("BLIND_INDEX_KEY", base64.b64encode(bytes(32)).decode(), "a default"),
    ],
)
def test_production_refuses(name: str, value: str, problem: str) -> None:
    lines = found(**{name: value})
    assert any(each.startswith(name) and problem in each for each in lines), lines
    assert not any(value in each for each in lines)


def test_secrets_of_two_purposes_differ() -> None:
    sealing = GOOD["ENCRYPTION_KEYS"].split("k1:")[1]
    [line] = found(BLIND_INDEX_KEY=sealing)
    assert line.startswith("BLIND_INDEX_KEY: is the same as ENCRYPTION_KEYS")
    assert sealing not in line
    [line] = found(BLIND_INDEX_KEY=GOOD["SERVICE_PRIVATE_KEY"])
    assert line.startswith("BLIND_INDEX_KEY: is the same as SERVICE_PRIVATE_KEY")
    [line] = found(JWT_SECRET=STRONG, SMTP_PASSWORD=STRONG)
    assert line.startswith("SMTP_PASSWORD: is the same as JWT_SECRET")
    assert found(ENVIRONMENT="development", BLIND_INDEX_KEY=sealing) == []


def test_redis_in_parts_is_encrypted_and_has_a_strong_password() -> None:
    parts = {"REDIS_URL": "", "REDIS_HOST": "cache", "REDIS_PASSWORD": STRONG}
    assert found(**parts) == []
    assert read(Settings, {**GOOD, **parts}).redis_url == f"rediss://default:{STRONG}@cache:6379/0"
    assert any(
        "has no password" in each or "REDIS_PASSWORD" in each for each in found(**parts | {"REDIS_PASSWORD": ""})
    )


def test_every_problem_is_said_at_once() -> None:
    class WithRules(Settings):
        @rule("pool_size")
        def _first(self) -> Iterator[str]:
            yield "POOL_SIZE and something"

        @rule("http_port")
        def _second(self) -> Iterator[str]:
            yield "HTTP_PORT and something"

    environ = {
        **GOOD,
        "HTTP_PORT": "x",
        "REDIS_URL": "redis://h",
        "SERVICE_PUBLIC_KEYS": "wallet=abc",
        "DATABASE_URL": "",
    }
    lines = problems(WithRules, environ)
    assert {name for name, _ in lines} == {"HTTP_PORT", "REDIS_URL", "SERVICE_PUBLIC_KEYS", "DATABASE_URL", ""}
    # A rule over a field that is wrong has nothing to say.
    assert [text for name, text in lines if not name] == ["POOL_SIZE and something"]
    with pytest.raises(SystemExit) as stopped:
        read(WithRules, environ)
    assert all(f"{name or 'settings'}: {text}" in str(stopped.value) for name, text in lines)
    assert "abc" not in str(stopped.value)


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "database").write_text(GOOD["DATABASE_URL"] + "\n")
    environ = {**GOOD, "DATABASE_URL": "", "DATABASE_URL_FILE": str(tmp_path / "database")}
    assert read(Settings, environ).database_url == GOOD["DATABASE_URL"]
    # By an alias as well; and the content counts, not that there is a file.
    (tmp_path / "key").write_text("tooshort")
    files = {"ENCRYPTION_KEYS": "", "PAYMENT_ENCRYPTION_KEY_FILE": str(tmp_path / "key")}
    assert any(each.startswith("ENCRYPTION_KEYS: ") for each in found(**files))


@pytest.mark.parametrize("case", ["absent", "folder", "large", "binary", "twice"])
def test_a_file_that_cannot_be_read_stops_the_process(tmp_path: Path, case: str) -> None:
    path = tmp_path / "secret"
    match case:
        case "folder":
            path.mkdir()
        case "large":
            path.write_text("x" * 70_000)
        case "binary":
            path.write_bytes(b"\xff\xfe")
        case "twice":
            path.write_text(STRONG)
    given_as_well = {"JWT_SECRET": STRONG} if case == "twice" else {}
    [line] = found(JWT_SECRET_FILE=str(path), **given_as_well)
    assert line.startswith("JWT_SECRET_FILE: ")
    assert ("as well" in line) == (case == "twice")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "Secret-but-long-enough-for-that",
        "my-test-key-0123456789abcdef",
        "guest-guest-guest-guest",
        "hunter2hunter2hunter2hunter2",
        "abcdefghijklmnopqrstuvwxyz012345",
        "1111111111111111222222222222222",
        "zyxwvutsrqponmlkjihgfedcba987654",
        "P@ssword-and-some-more-of-that",
        "xyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxyxy",
    ],
)
def test_what_people_think_of_is_weak(secret: str) -> None:
    assert is_weak(secret, 16)
    assert is_weak(secret.upper(), 16)


def test_random_secrets_are_strong() -> None:
    makers = (lambda: secrets.token_hex(24), lambda: secrets.token_urlsafe(32), lambda: secrets.token_urlsafe(12))
    weak = sum(is_weak(make(), 16) for make, _ in itertools.product(makers, range(2_000)))
    assert weak == 0


# What passwords are made of, with what a URL must have encoded.
PASSWORDS = st.text("abcdefghjkmnpqrtuvwxyz23456789!@#$%^&*():/?+= ", min_size=0, max_size=40)


@given(PASSWORDS)
def test_the_password_that_counts_is_the_decoded_one(password: str) -> None:
    encoded = quote(password, safe="")
    refused = any("password" in each for each in found(REDIS_URL=f"rediss://wallet:{encoded}@h"))
    assert refused == (not password or is_weak(password, 12, also="wallet"))
