"""What may follow a payment: a partial refund, a dispute that is won, the day's settlement, a verified chain."""

from typing import Any

from commdesk.common.v1.common_pb2 import Money
from commdesk.payment.v1 import disputes_pb2, refunds_pb2, settlements_pb2
from commdesk.reconciler.v1 import reconciler_pb2
from ops import invariants, journey
from ops.book_verification import verify_books
from ops.fleet_client import FleetClient
from ops.proof import Proof, journals, must, trial_balance

PACK = "pack_500"
# ₹100 of ₹500: a fifth of the 5,000 + 500 credits.
REFUNDED_MINOR, REFUNDED_CREDITS = 10_000, 1_100
TIMEOUT_SECONDS = 10
QUIET_SECONDS = 60.0
# A block is sealed every 30 seconds.
SEALED_SECONDS = 90.0


async def run(fleet: FleetClient, proof: Proof, member: journey.Member) -> None:
    """Show each step on a second pack of *member*. Raises NotProven or StepFailed."""
    print("\nA second pack, and what may follow a payment:\n")
    created = await journey.create(fleet, member, pack_id=PACK)
    payment_id, order_id = created["paymentId"], created["orderId"]
    before = (await journey.wallet(fleet, member.user_id)).available
    await journey.pay(fleet, order_id)
    await journey.until_success(fleet, member, payment_id)
    await _until_available(fleet, member, before + 5_500)
    proof.step("second pack bought", f"{payment_id}  {order_id}", payment_id=payment_id, order_id=order_id)
    await _refund(fleet, proof, member, payment_id)
    await _dispute(fleet, proof, member, payment_id, order_id)
    await _settle(fleet, proof, order_id)
    await invariants.until_quiet(fleet.description, QUIET_SECONDS)
    await _reconcile(fleet, proof)
    await trial_balance(fleet, proof, "trial balance at last")
    await _verify(fleet, proof)


async def _refund(fleet: FleetClient, proof: Proof, member: journey.Member, payment_id: str) -> None:
    before = await journey.wallet(fleet, member.user_id)
    item = refunds_pb2.RefundRequest(
        payment_id=payment_id,
        amount=Money(minor=REFUNDED_MINOR, currency="INR"),
        reason="asked for a part of it back",
        idempotency_key=f"demo:{payment_id}",
        operator="operator:demo",
    )
    answer = await fleet.refunds().RequestRefunds(
        refunds_pb2.RequestRefundsRequest(items=[item]), timeout=TIMEOUT_SECONDS
    )
    [result] = answer.results
    must(not result.HasField("error"), f"the refund was refused: {result.error.code} {result.error.message}")
    refund = result.refund
    credits = refund.credits_paid + refund.credits_bonus
    must(credits == REFUNDED_CREDITS, f"{credits} credits were held")
    proof.step(
        "₹100 to be refunded",
        f"{refund.refund_id}  {credits:,} credits held  {refund.hold_id}",
        refund_id=refund.refund_id,
        hold_id=refund.hold_id,
        credits=credits,
    )

    async def refunded() -> Any:
        request = refunds_pb2.ListRefundsRequest(payment_ids=[payment_id])
        [now] = (await fleet.refunds().ListRefunds(request, timeout=TIMEOUT_SECONDS)).refunds
        return now if now.status == refunds_pb2.REFUND_STATUS_SUCCESS else None

    now = await journey.until(refunded, "the refund's success")

    async def taken() -> Any:
        wallet = await journey.wallet(fleet, member.user_id)
        return wallet if not wallet.locked else None

    after = await journey.until(taken, "the held credits to be taken")
    must(after.available == before.available - credits, f"{after.available} credits are left of {before.available}")
    proof.step(
        "refunded",
        f"gateway's refund {now.gateway_refund_id}, {credits:,} credits taken, {after.available:,} left",
        gateway_refund_id=now.gateway_refund_id,
        available=after.available,
    )
    await journals(fleet, proof, "journals of the refund", refund.refund_id, 1)

    async def mailed() -> Any:
        return next(iter(await fleet.mails(to=member.email, contains=refund.refund_id)), None)

    mail = await journey.until(mailed, "the refund mail")
    proof.step("refund mail received", f"“{mail['subject']}”", subject=mail["subject"], mail_id=mail["id"])


async def _dispute(fleet: FleetClient, proof: Proof, member: journey.Member, payment_id: str, order_id: str) -> None:
    before = await journey.wallet(fleet, member.user_id)
    raised = (await fleet.sandbox("POST", f"/control/orders/{order_id}/disputes", {"amount_paise": 10_000})).data
    await _until_dispute(fleet, payment_id, disputes_pb2.DISPUTE_STATUS_OPEN)

    async def held() -> Any:
        wallet = await journey.wallet(fleet, member.user_id)
        return wallet if wallet.locked else None

    during = await journey.until(held, "the disputed credits to be held")
    proof.step(
        "disputed by the bank",
        f"dispute {raised['dispute_id']}, {during.locked:,} credits held",
        gateway_dispute_id=raised["dispute_id"],
        locked=during.locked,
    )
    # Each gateway's own word.
    won = {"step": "WON"} if fleet.gateway == "cashfree" else {"status": "won"}
    await fleet.sandbox("POST", f"/control/disputes/{raised['dispute_id']}", won)
    await _until_dispute(fleet, payment_id, disputes_pb2.DISPUTE_STATUS_WON)
    await _until_available(fleet, member, before.available)
    proof.step("dispute won", f"{before.available:,} credits available again", available=before.available)


async def _until_dispute(fleet: FleetClient, payment_id: str, status: int) -> None:
    async def reached() -> Any:
        request = disputes_pb2.ListDisputesRequest(payment_ids=[payment_id])
        disputes = (await fleet.disputes().ListDisputes(request, timeout=TIMEOUT_SECONDS)).disputes
        return True if any(each.dispute.status == status for each in disputes) else None

    await journey.until(reached, f"the dispute's status {disputes_pb2.DisputeStatus.Name(status)}", 60.0)


async def _settle(fleet: FleetClient, proof: Proof, order_id: str) -> None:
    paid_out = (await fleet.sandbox("POST", "/control/settlements", {"order_ids": [order_id]})).data
    imported = await fleet.settlements().ImportSettlements(settlements_pb2.ImportSettlementsRequest(), timeout=60)
    must(imported.settlements > 0, "no settlement was read")

    async def listed() -> Any:
        answer = await fleet.settlements().ListSettlements(
            settlements_pb2.ListSettlementsRequest(limit=1000), timeout=TIMEOUT_SECONDS
        )
        return next((each for each in answer.settlements if each.utr and each.utr == _utr(paid_out)), None)

    settlement = await journey.until(listed, "the settlement")
    proof.step(
        "settlement imported",
        f"UTR {settlement.utr}, net {settlement.net_minor:,} of {settlement.gross_minor:,} paise",
        settlement_id=settlement.settlement_id,
        utr=settlement.utr,
        net_minor=settlement.net_minor,
        fee_minor=settlement.fee_minor,
        fee_tax_minor=settlement.fee_tax_minor,
    )
    await journals(fleet, proof, "settlement booked", settlement.settlement_id, 1)


def _utr(settlement: dict[str, Any]) -> str:
    return str(settlement.get("settlement_utr") or settlement.get("utr") or "")


async def _until_available(fleet: FleetClient, member: journey.Member, credits: int) -> None:
    async def has() -> Any:
        return True if (await journey.wallet(fleet, member.user_id)).available == credits else None

    await journey.until(has, f"{credits} available credits")


async def _reconcile(fleet: FleetClient, proof: Proof) -> None:
    await fleet.reconciler().Run(reconciler_pb2.RunRequest(actor="operator:demo"), timeout=60)
    cases = (await fleet.reconciler().ListCases(reconciler_pb2.ListCasesRequest(status="OPEN"), timeout=10)).cases
    must(not cases, f"reconciliation has {len(cases)} open cases: {cases[0].kind if cases else ''}")
    proof.step("reconciled", "0 open cases", open_cases=0)


async def _verify(fleet: FleetClient, proof: Proof) -> None:
    async def sealed() -> Any:
        verified = await verify_books(fleet)
        return verified if verified.height and not verified.unsealed_journals else None

    verified = await journey.until(sealed, "the books to be sealed", SEALED_SECONDS)
    must(not verified.findings, f"the chain is not as it was sealed: {verified.findings[:3]}")
    proof.step(
        "hash chain verified",
        f"{verified.height} blocks, {verified.journals:,} journals, {verified.audit_entries:,} audit records",
        height=verified.height,
        head=verified.head,
        journals=verified.journals,
    )
