"""The parts of the crash points that need no fleet: what is chosen, what is counted, and that it ends the process."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from common.services import SERVICES
from tests.faults.crash_points import runs
from tests.faults.crash_points.effects import _WRITES, Counter, Plan, arm, counted, disarm

DIES = """
import sys
from pathlib import Path
from tests.faults.crash_points.effects import Counter
counter = Counter(Path(sys.argv[1]), "wallet")
print("ready", flush=True)
for what in iter(sys.stdin.readline, ""):
    counter.happened(what.strip())
    print("lived", flush=True)
"""


def test_use_cases_and_services_are_chosen_by_pattern() -> None:
    everything = runs.chosen([])
    assert {service for _, service in everything} <= set(SERVICES)
    assert len({(use_case.name, service) for use_case, service in everything}) == len(everything)
    assert [(use_case.name, service) for use_case, service in runs.chosen(["settle:led*", "sign-up"])] == [
        ("settle", "ledger"),
        ("sign-up", "identity"),
    ]


def test_a_process_counts_while_it_is_told_to(tmp_path: Path) -> None:
    counter = Counter(tmp_path, "wallet")
    counter.happened("before")
    arm(tmp_path, "wallet", Plan(pid=os.getpid()))
    counter.happened("commit outbox")
    counter.happened("ack")
    disarm(tmp_path, "wallet")
    counter.happened("after")
    assert counted(tmp_path, "wallet") == [(os.getpid(), f"{what}#1") for what in ("commit outbox", "ack")]


def test_another_process_of_the_service_is_left_alone(tmp_path: Path) -> None:
    counter = Counter(tmp_path, "wallet")
    arm(tmp_path, "wallet", Plan(pid=os.getpid() + 1, after="commit outbox#1"))
    counter.happened("commit outbox")
    assert counted(tmp_path, "wallet") == []


def test_the_effect_that_was_named_is_the_last(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DIES, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        arm(tmp_path, "wallet", Plan(pid=process.pid, after="sent#2"))
        process.stdin.write("sent\nack\nsent\nack\n")
        process.stdin.flush()
        assert process.wait(10) == -signal.SIGKILL
    assert [what for _, what in counted(tmp_path, "wallet")] == ["sent#1", "ack#1", "sent#2"]


def test_the_process_that_follows_dies_too_and_the_third_lives(tmp_path: Path) -> None:
    arm(tmp_path, "wallet", Plan(pid=os.getpid(), after="sent#1", again=2))
    for outcome in (-signal.SIGKILL, 0):
        process = subprocess.run(
            [sys.executable, "-c", DIES, str(tmp_path)],
            input="sent\nack\nsent\n",
            text=True,
            capture_output=True,
            timeout=10,
        )
        assert process.returncode == outcome
    assert [what for _, what in counted(tmp_path, "wallet")] == ["sent#1", "ack#1"]


def test_tables_that_are_written_are_told_from_rows_that_are_locked() -> None:
    def first(sql: str) -> str | None:
        found = _WRITES.search(sql)
        return found[1] if found else None

    assert first("insert into outbox (envelope_id) select 1") == "outbox"
    assert first("with fresh as (insert into billing_events values (1)) insert into billing_daily") == "billing_events"
    assert first("select * from wallets where id = 1 for no key update") is None
    assert first("select * from wallets for update skip locked") is None
    assert first("update wallets as wallet set seq = 1") == "wallets"


async def test_what_is_on_its_way_is_counted_a_moment_later(tmp_path: Path) -> None:
    counter = Counter(tmp_path, "wallet")
    arm(tmp_path, "wallet", Plan(pid=os.getpid()))
    counter.soon("ack")
    assert counted(tmp_path, "wallet") == []
    await asyncio.sleep(0.05)
    assert counted(tmp_path, "wallet") == [(os.getpid(), "ack#1")]
