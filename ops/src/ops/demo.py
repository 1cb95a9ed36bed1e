"""One ₹500 pack bought by UPI through the whole fleet, each step with its proof; then what must change nothing."""

import json
import sys
import time
from typing import Any

from msgspec import Struct, field

from commdesk.ledger.v1 import ledger_pb2
from ops import invariants, journey
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.private_files import write_private

PACK = "pack_500"
SPENT = 550
QUIET_SECONDS = 30.0


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


def _must(condition: bool, what: str) -> None:
    if not condition:
        raise NotProven(what)


async def run(fleet: FleetClient, layout: Layout) -> dict[str, Any]:
    """Run the demo against a running fleet; the facts, also in demo.json. Raises NotProven or StepFailed."""
    print("\nOne ₹500 pack by UPI, through Traefik and the whole fleet:\n")
    proof = Proof()
    member = await journey.sign_up(fleet)
    proof.step("member signed up", member.user_id, user_id=member.user_id)

    created = await journey.create(fleet, member, pack_id=PACK)
    payment_id, order_id = created["paymentId"], created["orderId"]
    proof.step(
        "order created",
        f"{payment_id}  {order_id}  {created['status']}",
        payment_id=payment_id,
        order_id=order_id,
        status=created["status"],
        amount_minor=created["amount"],
        currency=created["currency"],
    )
    await _buy(fleet, proof, member, payment_id, order_id)
    await _spend(fleet, proof, member)
    await invariants.until_quiet(fleet.description, QUIET_SECONDS)
    await _repeat(fleet, proof, member, order_id)
    proof.facts["total_ms"] = proof.total_ms()
    path = layout.run_dir / "demo.json"
    write_private(path, json.dumps(proof.facts, indent=2) + "\n")
    print(f"\n  {proof.total_ms():8.1f} ms  in all; the same facts in {path.name} beside stack.json")
    return proof.facts


async def _buy(fleet: FleetClient, proof: Proof, member: journey.Member, payment_id: str, order_id: str) -> None:
    paid = await journey.pay(fleet, order_id)
    proof.step(
        "paid at the sandbox", f"UPI, cf_payment_id {paid['cf_payment_id']}", cf_payment_id=paid["cf_payment_id"]
    )
    _must(200 in paid["webhook"], f"the webhook was answered {paid['webhook']}")
    proof.step("webhook accepted", f"HTTP {paid['webhook'][0]}", answers=paid["webhook"])
    payment = await journey.until_success(fleet, member, payment_id)
    proof.step(
        "verified with gateway",
        f"{payment['status']} by {payment['paymentMethod']}",
        status=payment["status"],
        gateway_payment_id=payment["gatewayPaymentId"],
    )
    _must(payment["gatewayPaymentId"] == paid["cf_payment_id"], "the payment names another gateway payment")

    async def granted() -> Any:
        held = await journey.wallet(fleet, member.user_id)
        return held if held.available else None

    held = await journey.until(granted, "the grant")
    lots = (await fleet.edge("GET", "/api/v1/wallet", token=member.token)).data["lots"]
    paid_credits, bonus_credits = sum(lot["paid"] for lot in lots), sum(lot["bonus"] for lot in lots)
    _must((paid_credits, bonus_credits) == (5000, 500), f"granted {paid_credits} paid + {bonus_credits} bonus")
    proof.step(
        "credits granted",
        f"{held.available:,} = {paid_credits:,} paid + {bonus_credits:,} bonus  {held.wallet_id}",
        wallet_id=held.wallet_id,
        available=held.available,
        paid=paid_credits,
        bonus=bonus_credits,
    )
    await _journals(fleet, proof, "journals posted", payment_id, 2)
    await _balance(fleet, proof, "trial balance")

    async def mailed() -> Any:
        return next(iter(await fleet.mails(to=member.email, contains=payment_id)), None)

    mail = await journey.until(mailed, "the success mail")
    timeline = await fleet.delivery("payment").Story(_story(payment_id), timeout=5)
    number = next((entry.fields.get("number", "") for entry in timeline.entries if entry.kind == "invoice"), "")
    _must(number != "" and number in mail["text"], f"the mail does not carry the invoice's number {number}")
    proof.step("invoice recorded", number, number=number)
    proof.step("mail received", f"“{mail['subject']}” by the local inbox", subject=mail["subject"], mail_id=mail["id"])


async def _spend(fleet: FleetClient, proof: Proof, member: journey.Member) -> None:
    spent = await journey.consume(fleet, member.user_id, SPENT, f"demo:{member.user_id}")
    _must(spent.balance_after == 5500 - SPENT, f"{spent.balance_after} credits are left")
    proof.step(
        "credits consumed",
        f"{SPENT} of 5,500, {spent.balance_after:,} left  {spent.transaction_id}",
        transaction_id=spent.transaction_id,
        balance_after=spent.balance_after,
    )
    await _journals(fleet, proof, "journals of the spend", spent.transaction_id, 2)
    await _balance(fleet, proof, "trial balance again")


async def _repeat(fleet: FleetClient, proof: Proof, member: journey.Member, order_id: str) -> None:
    """The same webhook once more, then replayed with a new timestamp and signature: nothing may change."""
    before = await _state(fleet, member)
    [sent, *_] = (await fleet.sandbox("GET", f"/control/webhooks?order_id={order_id}")).data["webhooks"]
    for name, fresh in (("duplicate webhook", False), ("replayed webhook", True)):
        await fleet.sandbox("POST", f"/control/webhooks/{sent['id']}/resend", {"fresh": fresh})

        async def answered() -> Any:
            stats = (await fleet.sandbox("GET", "/control/stats")).data["webhooks"]
            return stats if not stats["pending"] else None

        await journey.until(answered, "the answer to a repeated webhook")
        [again, *_] = (await fleet.sandbox("GET", f"/control/webhooks?order_id={order_id}")).data["webhooks"]
        await invariants.until_quiet(fleet.description, QUIET_SECONDS)
        after = await _state(fleet, member)
        _must(after == before, f"the {name} changed {before} to {after}")
        proof.step(name, f"HTTP {again['status']}, nothing changed", http_status=again["status"], unchanged=True)
    broken = await invariants.violations(fleet.description)
    _must(not broken, "; ".join(str(violation) for violation in broken))
    proof.step("invariants", f"{len(invariants.CHECKS)} checks hold", violations=[])


async def _state(fleet: FleetClient, member: journey.Member) -> dict[str, Any]:
    held = await journey.wallet(fleet, member.user_id)
    balance = await fleet.ledger().TrialBalance(ledger_pb2.TrialBalanceRequest(merchant_id=journey.MERCHANT), timeout=5)
    return {
        "available": held.available,
        "seq": held.seq,
        "accounts": {account.account: (account.debit, account.credit) for account in balance.accounts},
        "mails": len(await fleet.mails(to=member.email, subject="Payment received")),
    }


async def _journals(fleet: FleetClient, proof: Proof, name: str, reference: str, expected: int) -> None:
    async def posted() -> Any:
        request = ledger_pb2.ListJournalsRequest(reference=reference, limit=20)
        journals = (await fleet.ledger().ListJournals(request, timeout=5)).journals
        return journals if len(journals) >= expected else None

    journals = await journey.until(posted, f"the journals of {reference}")
    facts = [
        {
            "journal_id": journal.journal_id,
            "template": journal.template,
            "asset": journal.asset,
            "entries": [[entry.account, entry.debit, entry.credit] for entry in journal.entries],
        }
        for journal in journals
    ]
    proof.step(name, ", ".join(f"{journal.template} ({journal.asset})" for journal in journals), journals=facts)
    for journal in journals:
        for entry in journal.entries:
            side = f"debit  {entry.debit:>8,}" if entry.debit else f"credit {entry.credit:>8,}"
            print(f"{'':36} {side}  {entry.account}")


async def _balance(fleet: FleetClient, proof: Proof, name: str) -> None:
    balance = await fleet.ledger().TrialBalance(ledger_pb2.TrialBalanceRequest(merchant_id=journey.MERCHANT), timeout=5)
    sums: dict[str, int] = {}
    for account in balance.accounts:
        sums[account.asset] = sums.get(account.asset, 0) + account.debit - account.credit
    _must(bool(sums) and not any(sums.values()), f"the trial balance is {sums}")
    proof.step(name, ", ".join(f"{asset} {total}" for asset, total in sorted(sums.items())), sums=sums)


def _story(reference: str) -> Any:
    from commdesk.common.v1 import delivery_pb2

    return delivery_pb2.StoryRequest(reference=reference)
