import base64
import json
import ssl
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from common.database_urls import connect_arguments, database_url, is_pooler
from common.settings import ServiceSettings, problems, read

KEY = base64.b64encode(bytes(range(32))).decode()
NEON = (
    "postgresql://neondb_owner:npg_Zk3vQ9xw7TpL@ep-cool-darkness-a1b2c3d4-pooler.ap-southeast-1.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require"
)
NEON_DIRECT = NEON.replace("-pooler", "")


def parameters(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(connect_arguments(url)["dsn"]).query)


def test_neons_url_is_taken_as_it_is_copied() -> None:
    arguments = connect_arguments(NEON)
    assert "?" not in arguments["dsn"]
    # The binding that asyncpg cannot give is replaced by the strongest it has.
    context = arguments["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs(), "the machine's authorities"


@pytest.mark.parametrize("authorities", ["", "&sslrootcert=system"])
def test_verify_full_trusts_the_machines_authorities(authorities: str) -> None:
    arguments = connect_arguments(f"postgres://u:p@h/d?sslmode=verify-full{authorities}")
    assert arguments["dsn"] == "postgresql://u:p@h/d"
    assert arguments["ssl"].get_ca_certs()


def test_verify_full_trusts_a_file_alone(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    arguments = connect_arguments(f"postgresql://u:p@h/d?sslmode=verify-full&sslrootcert={tmp_path / 'ca.pem'}")
    assert len(arguments["ssl"].get_ca_certs()) == 1
    with pytest.raises(OSError):
        connect_arguments("postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=/nonexistent")


def test_other_parameters_keep_their_meaning() -> None:
    url = "postgresql+asyncpg://u:p@h/d?sslmode=require&connect_timeout=15&gssencmode=disable&options=endpoint%3Dep-1"
    assert connect_arguments(url)["timeout"] == 15
    assert "ssl" not in connect_arguments(url)
    assert parameters(url) == {"sslmode": ["require"], "options": ["endpoint=ep-1"]}


def test_a_password_may_hold_an_at_sign() -> None:
    assert connect_arguments("postgresql://u:p@ss:w@h:5432/d")["dsn"] == "postgresql://u:p%40ss%3Aw@h:5432/d"
    assert connect_arguments("postgresql://u:p%40ss@h/d")["dsn"] == "postgresql://u:p%40ss@h/d"


def test_another_databases_url_is_refused() -> None:
    for wrong in ("mysql://h/d", "h/d", ""):
        with pytest.raises(ValueError, match="postgresql://"):
            connect_arguments(wrong)


def test_another_database_and_role_keep_the_parameters() -> None:
    changed = database_url(NEON, "commdesk", "wallet", "p@ss")
    assert changed.startswith("postgresql://wallet:p%40ss@ep-cool")
    assert changed.endswith("/commdesk?sslmode=require&channel_binding=require")


def test_a_pooler_is_known_by_its_name() -> None:
    assert is_pooler(NEON)
    assert not is_pooler(NEON_DIRECT)
    assert not is_pooler("postgresql://u:p-pooler@db.example/x-pooler")


def test_the_setting_wins_over_the_name() -> None:
    local = {
        "ENVIRONMENT": "test",
        "RABBITMQ_URL": "amqp://h",
        "SERVICE_PRIVATE_KEY": KEY,
        "SERVICE_PUBLIC_KEYS": json.dumps({"a": KEY}),
        "ENCRYPTION_KEYS": KEY,
        "BLIND_INDEX_KEY": KEY,
        "DATABASE_URL": NEON,
    }
    assert read(ServiceSettings, local).has_pooler
    assert not read(ServiceSettings, {**local, "DATABASE_POOLER": "false"}).has_pooler
    assert read(ServiceSettings, {**local, "DATABASE_URL": NEON_DIRECT, "DATABASE_POOLER": "true"}).has_pooler
    [(_, text)] = problems(ServiceSettings, {**local, "DATABASE_MIGRATION_URL": NEON})
    assert "direct URL" in text


def test_production_takes_neons_url() -> None:
    found = problems(ServiceSettings, {"DATABASE_URL": NEON, "DATABASE_MIGRATION_URL": NEON_DIRECT})
    assert not [text for name, text in found if name.startswith("DATABASE")]
    weaker = NEON.replace("&channel_binding=require", "")
    assert any("verify-full" in text for name, text in problems(ServiceSettings, {"DATABASE_URL": weaker}))
