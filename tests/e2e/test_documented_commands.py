"""The commands of the README, the operating pages and the runbooks, run as they stand there."""

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from ops import fleet_database, journey, readiness
from ops.__main__ import app
from ops.fleet_client import FleetClient
from ops.ports import ROOT, Layout
from ops.stack import Stack
from tests import documented
from tests.e2e.test_journey import run_command

# What a command is about stands in documents as one of these.
PLACEHOLDER = re.compile(r"(pay|ord|usr|dlq|cf)_…|<id>|…")
# Commands that do more than this test may, by their first words, and where they are run.
ELSEWHERE = {
    ("up",): "tests/e2e/conftest.py",
    ("down",): "tests/e2e/conftest.py",
    ("test",): "ops/src/ops/suite.py",
    ("demo",): "tests/e2e/test_journey.py",
    ("backup",): "ops/tests/integration/test_backup.py",
    ("restore",): "ops/tests/integration/test_backup.py",
    ("restore-drill",): "ops/src/ops/restore_drill.py",
    ("rolling-restart",): "loadtests/src/loadtests/restarts.py",
    ("stop", "rabbitmq"): "tests/faults/scenarios/rabbitmq.py",
    ("logs", "-f"): "ops/src/ops/__main__.py",
    ("openapi",): "ops/tests/unit/test_reference.py",
    ("doctor", "--config"): "ops/tests/unit/test_configuration_check.py",
    ("dlq", "show"): "tests/e2e/test_journey.py",
    ("dlq", "replay"): "tests/e2e/test_journey.py",
    ("dlq", "discard"): "tests/e2e/test_journey.py",
    ("review", "show"): "tests/e2e/test_journey.py",
    ("review", "fulfil"): "tests/e2e/test_journey.py",
    ("review", "refund"): "tests/e2e/test_money_back.py",
    ("review", "refunded"): "tests/e2e/test_journey.py",
    ("review", "dismiss"): "tests/e2e/test_journey.py",
    ("disputes", "evidence"): "services/payment/tests/integration/test_disputes.py",
    ("route", "set"): "services/payment/tests/integration/test_gateway_accounts.py",
    ("gateway-account", "create"): "services/payment/tests/integration/test_gateway_accounts.py",
    ("gateway-account", "rotate-webhook-secret"): "services/payment/tests/integration/test_gateway_accounts.py",
    ("gateway-account", "disable"): "services/payment/tests/integration/test_gateway_accounts.py",
    ("recon", "statement"): "services/reconciler/tests/unit/test_statements.py",
    ("wallet", "forgive-debt"): "services/wallet/tests/integration/test_holds.py",
    ("person", "erase"): "tests/e2e/test_personal_data.py",
    ("merchant", "create"): "tests/e2e/test_merchants.py",
    ("merchant", "show"): "tests/e2e/test_merchants.py",
    ("merchant", "suspend"): "tests/e2e/test_merchants.py",
    ("merchant", "resume"): "tests/e2e/test_merchants.py",
    ("keys", "rotate"): "tests/e2e/test_personal_data.py",
    ("key",): "tests/e2e/test_keys_by_route.py",
}
# What names a command and no more.
GROUPS = {
    ("dlq",),
    ("review",),
    ("keys",),
    ("person",),
    ("ledger",),
    ("merchant",),
    ("show",),
    ("start",),
    ("stop",),
    ("restart",),
}
SQL_OF_A_SESSION = "select pg_terminate_backend(pid)"


def elsewhere(command: tuple[str, ...]) -> str:
    """Where a command is run that is not run here; empty when it is."""
    return next((where for words, where in ELSEWHERE.items() if command[: len(words)] == words), "")


def to_run() -> list[tuple[str, ...]]:
    """Commands that are run here, those that stop and start processes last."""
    chosen = [
        command
        for command in documented.commands()
        if not elsewhere(command) and command not in GROUPS and command != ("person", "export")
    ]
    return sorted(chosen, key=lambda command: (command[0] in ("start", "restart", "stop"), command))


def test_every_command_that_is_run_elsewhere_is_documented_and_its_place_exists() -> None:
    missing = [where for where in ELSEWHERE.values() if not (ROOT / where).is_file()]
    assert missing == []
    assert len(to_run()) > 20


@pytest.mark.timeout(600)
async def test_commands_do_what_the_documents_say(
    fleet: FleetClient, layout: Layout, commdesk: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_DIR", str(layout.run_dir))
    monkeypatch.setenv("PORT_BASE", str(layout.port_base))
    member = await journey.sign_up(fleet)
    created = await journey.create(fleet, member, pack_id="pack_500")
    await journey.pay(fleet, created["orderId"])
    await journey.until_success(fleet, member, created["paymentId"])
    known = {"pay_…": created["paymentId"], "ord_…": created["orderId"], "usr_…": member.user_id}
    known["<id>"] = created["paymentId"]
    failed = []
    for command in to_run():
        words = [PLACEHOLDER.sub(lambda match: known[match[0]], word) for word in command]
        # Showing logs becomes another program; everything else runs in this process, without starting Python anew.
        if words[0] == "logs":
            code, output = await run_command(commdesk, *words)
        else:
            ran = await asyncio.to_thread(CliRunner().invoke, app, words)
            code, output = ran.exit_code, ran.output
        if words[0] in ("start", "restart"):
            await ready(layout, words[1:])
        if code:
            failed.append((" ".join(command), documented.commands()[command], code, output[-300:]))
    assert failed == []


async def ready(layout: Layout, names: Sequence[str]) -> None:
    """Wait until what was started works again."""
    credentials = Stack(layout).credentials

    async def working() -> bool | None:
        return all([await asyncio.to_thread(readiness.is_ready, layout, credentials, name) for name in names]) or None

    await journey.until(working, f"{names} ready", 60)


async def test_statements_of_the_runbooks_are_understood_by_postgresql(fleet: FleetClient) -> None:
    """Each in a transaction that is not committed; one that takes its argument from another is completed."""
    async with fleet_database.connect(fleet.description) as db:
        statements = documented.statements()
        assert SQL_OF_A_SESSION in statements
        for statement, page in statements.items():
            transaction = db.transaction()
            await transaction.start()
            try:
                completed = (
                    f"{statement} from (select 0 as pid) session" if statement == SQL_OF_A_SESSION else statement
                )
                await db.fetch(completed)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{page}: {statement}: {error}")
            finally:
                await transaction.rollback()


async def test_the_payment_by_curl_in_the_readme(fleet: FleetClient, tmp_path: Path) -> None:
    """Line by line in one shell; ids of the answers stand where the README has a placeholder."""
    [block] = [block for block in documented.blocks(ROOT / "README.md") if "curl" in block]
    script = ["set -euo pipefail"]
    for line in block.replace(",\n  ", ", ").splitlines():
        command = re.split(r"\s{2,}#", line)[0].replace("ord_…", "$ORDER").replace("pay_…", "$PAYMENT")
        if command.startswith("#"):
            continue
        if "/payments/create" in command:
            script += [
                f"CREATED=$({command})",
                "ORDER=$(jq -er .data.orderId <<<$CREATED); PAYMENT=$(jq -er .data.paymentId <<<$CREATED)",
            ]
        elif "$PAYMENT" in command:
            script += [
                "for _ in $(seq 50); do",
                f"  PAID=$({command}); case $PAID in *SUCCESS*) break;; esac; sleep 0.2",
                "done",
            ]
        elif "/wallet" in command:
            script += [
                "for _ in $(seq 50); do",
                f"  HELD=$({command}); case $HELD in *5500*) break;; esac; sleep 0.2",
                "done",
            ]
        else:
            script.append(command + (" >/dev/null" if command.startswith("curl") else ""))
    script.append('jq -n --argjson paid "$PAID" --argjson held "$HELD" \'{paid: $paid.data, held: $held.data}\'')
    text = "\n".join(script)
    text = text.replace("http://127.0.0.1:18000", fleet.description["edge_url"])
    text = text.replace("http://127.0.0.1:18010", fleet.description["sandbox_url"])
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    answers: dict[str, Any] = json.loads(output)
    assert answers["paid"]["status"] == "SUCCESS"
    assert "5500" in json.dumps(answers["held"])
