"""One ₹500 pack bought by UPI through the whole fleet, each step with its proof; then what must change nothing."""

import json
import os
from typing import Any

from commdesk.ledger.v1 import ledger_pb2
from ops import invariants, journey, post_payment_demo
from ops.fleet_client import FleetClient
from ops.ports import Layout
from ops.private_files import write_private
from ops.proof import Proof, journals, must, trial_balance

PACK = "pack_500"
SPENT = 550
QUIET_SECONDS = 30.0


async def run(fleet: FleetClient, layout: Layout) -> dict[str, Any]:
    """Run the demo against a running fleet; the facts, also in demo.json. Raises NotProven or StepFailed."""
    wished = os.environ.get("DEFAULT_GATEWAY") or fleet.gateway
    must(wished == fleet.gateway, f"the stack runs with {fleet.gateway}: `make down` first, then `make demo` again")
    print(f"\nOne ₹500 pack by UPI, through Traefik, the whole fleet and {fleet.gateway.capitalize()}:\n")
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
    await post_payment_demo.run(fleet, proof, member)
    proof.facts["total_ms"] = proof.total_ms()
    path = layout.run_dir / "demo.json"
    write_private(path, json.dumps(proof.facts, indent=2) + "\n")
    print(f"\n  {proof.total_ms():8.1f} ms  in all; the same facts in {path.name} beside stack.json")
    return proof.facts


async def _buy(fleet: FleetClient, proof: Proof, member: journey.Member, payment_id: str, order_id: str) -> None:
    paid = await journey.pay(fleet, order_id)
    own_id = paid.get("cf_payment_id") or paid["payment_id"]
    proof.step("paid at the sandbox", f"UPI, the gateway's payment {own_id}", gateway_payment_id=own_id)
    must(200 in paid["webhook"], f"the webhook was answered {paid['webhook']}")
    proof.step("webhook accepted", f"HTTP {paid['webhook'][0]}", answers=paid["webhook"])
    payment = await journey.until_success(fleet, member, payment_id)
    proof.step(
        "verified with gateway",
        f"{payment['status']} by {payment['paymentMethod']}",
        status=payment["status"],
        gateway_payment_id=payment["gatewayPaymentId"],
    )
    must(payment["gatewayPaymentId"] == own_id, "the payment names another gateway payment")

    async def granted() -> Any:
        held = await journey.wallet(fleet, member.user_id)
        return held if held.available else None

    held = await journey.until(granted, "the grant")
    lots = (await fleet.edge("GET", "/api/v1/wallet", token=member.token)).data["lots"]
    paid_credits, bonus_credits = sum(lot["paid"] for lot in lots), sum(lot["bonus"] for lot in lots)
    must((paid_credits, bonus_credits) == (5000, 500), f"granted {paid_credits} paid + {bonus_credits} bonus")
    proof.step(
        "credits granted",
        f"{held.available:,} = {paid_credits:,} paid + {bonus_credits:,} bonus  {held.wallet_id}",
        wallet_id=held.wallet_id,
        available=held.available,
        paid=paid_credits,
        bonus=bonus_credits,
    )
    await journals(fleet, proof, "journals posted", payment_id, 2)
    await trial_balance(fleet, proof, "trial balance")

    async def mailed() -> Any:
        return next(iter(await fleet.mails(to=member.email, contains=payment_id)), None)

    mail = await journey.until(mailed, "the success mail")
    timeline = await fleet.delivery("payment").Story(_story(payment_id), timeout=5)
    number = next((entry.fields.get("number", "") for entry in timeline.entries if entry.kind == "invoice"), "")
    must(number != "" and number in mail["text"], f"the mail does not carry the invoice's number {number}")
    proof.step("invoice recorded", number, number=number)
    proof.step("mail received", f"“{mail['subject']}” by the local inbox", subject=mail["subject"], mail_id=mail["id"])


async def _spend(fleet: FleetClient, proof: Proof, member: journey.Member) -> None:
    spent = await journey.consume(fleet, member.user_id, SPENT, f"demo:{member.user_id}")
    must(spent.balance_after == 5500 - SPENT, f"{spent.balance_after} credits are left")
    proof.step(
        "credits consumed",
        f"{SPENT} of 5,500, {spent.balance_after:,} left  {spent.transaction_id}",
        transaction_id=spent.transaction_id,
        balance_after=spent.balance_after,
    )
    await journals(fleet, proof, "journals of the spend", spent.transaction_id, 2)
    await trial_balance(fleet, proof, "trial balance again")


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
        must(after == before, f"the {name} changed {before} to {after}")
        proof.step(name, f"HTTP {again['status']}, nothing changed", http_status=again["status"], unchanged=True)
    broken = await invariants.violations(fleet.description)
    must(not broken, "; ".join(str(violation) for violation in broken))
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


def _story(reference: str) -> Any:
    from commdesk.common.v1 import delivery_pb2

    return delivery_pb2.StoryRequest(reference=reference)
