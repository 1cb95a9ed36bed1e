"""What a demo shows: each step with its proof, as lines for people and as facts for programs."""

import sys
import time
from typing import Any

from msgspec import Struct, field

from commdesk.ledger.v1 import ledger_pb2
from ops import journey
from ops.fleet_client import FleetClient


class Proof(Struct):
    """What was shown, as lines for people and as facts for programs."""

    facts: dict[str, Any] = {}
    started: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def step(self, name: str, shown: str, **facts: Any) -> None:
        now = time.perf_counter()
        took_ms, self.last = (now - self.last) * 1000, now
        self.facts[name.replace(" ", "_")] = {"ms": round(took_ms, 1), **facts}
        print(f"  {took_ms:8.1f} ms  {name:<22} {shown}", file=sys.stdout, flush=True)

    def total_ms(self) -> float:
        return round((time.perf_counter() - self.started) * 1000, 1)


class NotProven(Exception):
    """A fact of the demo is not as it must be."""


def must(condition: bool, what: str) -> None:
    if not condition:
        raise NotProven(what)


async def journals(fleet: FleetClient, proof: Proof, name: str, reference: str, expected: int) -> None:
    async def posted() -> Any:
        request = ledger_pb2.ListJournalsRequest(reference=reference, limit=20)
        journals = (await fleet.ledger().ListJournals(request, timeout=5)).journals
        return journals if len(journals) >= expected else None

    posted_journals = await journey.until(posted, f"the journals of {reference}")
    facts = [
        {
            "journal_id": journal.journal_id,
            "template": journal.template,
            "asset": journal.asset,
            "entries": [[entry.account, entry.debit, entry.credit] for entry in journal.entries],
        }
        for journal in posted_journals
    ]
    proof.step(name, ", ".join(f"{journal.template} ({journal.asset})" for journal in posted_journals), journals=facts)
    for journal in posted_journals:
        for entry in journal.entries:
            side = f"debit  {entry.debit:>8,}" if entry.debit else f"credit {entry.credit:>8,}"
            print(f"{'':36} {side}  {entry.account}")


async def trial_balance(fleet: FleetClient, proof: Proof, name: str) -> None:
    balance = await fleet.ledger().TrialBalance(ledger_pb2.TrialBalanceRequest(merchant_id=journey.MERCHANT), timeout=5)
    sums: dict[str, int] = {}
    for account in balance.accounts:
        sums[account.asset] = sums.get(account.asset, 0) + account.debit - account.credit
    must(bool(sums) and not any(sums.values()), f"the trial balance is {sums}")
    proof.step(name, ", ".join(f"{asset} {total}" for asset, total in sorted(sums.items())), sums=sums)
