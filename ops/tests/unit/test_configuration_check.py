"""`commdesk doctor --config`: everything that keeps every service from starting, from files, with nothing running."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from common.services import SERVICES
from ledger.domain.chart import CHART, CREDIT
from ops import configuration_check, fleet
from ops.__main__ import app
from ops.credentials import Credentials, load_or_generate
from ops.ports import Layout
from payment.domain.receipts import BOOKS_CURRENCY

LAYOUT = Layout(Path("/srv/stack"), 18000)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return load_or_generate(tmp_path / "secrets.json")


@pytest.fixture
def folder(tmp_path: Path, credentials: Credentials) -> Path:
    """An environment file for each service of a local stack."""
    folder = tmp_path / "environments"
    folder.mkdir()
    for name in SERVICES:
        write(folder / f"{name}.env", fleet.service_environment(LAYOUT, credentials, name, {}))
    return folder


def write(path: Path, variables: dict[str, str]) -> None:
    path.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))


def check(*arguments: str, **environ: str) -> tuple[int, list[dict[str, object]]]:
    result = CliRunner().invoke(app, ["doctor", "--config", "--json", *arguments], env=environ)
    return result.exit_code, json.loads(result.stdout)


def test_the_local_stack_is_in_order(folder: Path) -> None:
    assert check("--environment-file", str(folder)) == (0, [])


def test_the_local_stack_is_none_for_production(folder: Path) -> None:
    write(folder / configuration_check.SHARED_FILE, {})
    for name in SERVICES:
        with (folder / f"{name}.env").open("a") as file:
            file.write("ENVIRONMENT=production\n")
    code, rows = check("--environment-file", str(folder))
    assert code == 1
    of_all = {row["variable"] for row in rows if set(row["services"]) == {*SERVICES}}
    assert {"DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "PUBLIC_URL", "IDENTITY_JWKS_URL", "GRPC_TLS"} <= of_all
    of_payment = {row["variable"] for row in rows if "payment" in row["services"]}
    assert {"CASHFREE_ACCOUNT_MODE", "CASHFREE_BASE_URL", "CASHFREE_NOTIFY_URL"} <= of_payment


def test_nothing_is_only_what_the_environment_says(tmp_path: Path) -> None:
    (tmp_path / "empty.env").write_text("# nothing\n")
    code, rows = check("--environment-file", str(tmp_path / "empty.env"))
    assert code == 1
    required = {row["variable"]: row["services"] for row in rows if "is required" in str(row["problem"])}
    assert required["DATABASE_URL"] == [*SERVICES]
    assert required["TOKEN_PRIVATE_KEY"] == ["identity"]
    assert required["CASHFREE_BASE_URL"] == ["payment"]


def test_one_service_is_checked_by_the_environment(credentials: Credentials) -> None:
    environ = fleet.service_environment(LAYOUT, credentials, "wallet", {})
    assert check("wallet", **environ) == (0, [])
    code, [row] = check("wallet", **environ | {"SERVICE_PRIVATE_KEY": credentials.keys["ledger"]["private"]})
    assert (code, row["variable"]) == (1, "SERVICE_PUBLIC_KEYS")


def test_values_are_not_shown(folder: Path, credentials: Credentials) -> None:
    with (folder / "wallet.env").open("a") as file:
        file.write("ENVIRONMENT=production\nJWT_SECRET=hush-hush\n")
    shown = CliRunner().invoke(app, ["doctor", "--config", "--environment-file", str(folder)]).output
    assert "JWT_SECRET" in shown
    assert "hush" not in shown
    assert not any(password in shown for password in credentials.database.values())


@pytest.mark.parametrize("arguments", [["nobody"], ["--environment-file", "/nonexistent.env"]])
def test_what_is_not_there_is_said(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["doctor", "--config", *arguments]).exit_code == 2


def test_payments_are_made_in_the_currency_of_the_books(folder: Path) -> None:
    assert {account.asset for account in CHART} == {BOOKS_CURRENCY, CREDIT}
    with (folder / "payment.env").open("a") as file:
        file.write("ENABLED_CURRENCIES=INR,USD\n")
    code, [row] = check("--environment-file", str(folder))
    assert (code, row["variable"], row["services"]) == (1, "ENABLED_CURRENCIES", ["payment"])


def test_limits_of_an_amount_leave_one_possible(folder: Path) -> None:
    with (folder / "payment.env").open("a") as file:
        file.write("AMOUNT_MIN_MINOR=200\nAMOUNT_MAX_MINOR=100\nSWEEP_SECONDS=inf\n")
    code, rows = check("--environment-file", str(folder))
    assert code == 1
    assert [row["services"] for row in rows] == [["payment"]] * 2
    assert any("AMOUNT_MIN_MINOR is above AMOUNT_MAX_MINOR" in str(row["problem"]) for row in rows)
    assert any(row["variable"] == "SWEEP_SECONDS" for row in rows)
