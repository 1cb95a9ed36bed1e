"""The chart of accounts: which accounts there are, what they hold, on which side they grow."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

INR = "INR"
CREDIT = "CREDIT"
ASSETS = (INR, CREDIT)


class Kind(StrEnum):
    """What an account is; it decides the side on which the account grows."""

    ASSET = "asset"
    LIABILITY = "liability"
    REVENUE = "revenue"
    EXPENSE = "expense"


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


NORMAL_SIDE: dict[Kind, Side] = {
    Kind.ASSET: Side.DEBIT,
    Kind.EXPENSE: Side.DEBIT,
    Kind.LIABILITY: Side.CREDIT,
    Kind.REVENUE: Side.CREDIT,
}
assert NORMAL_SIDE.keys() == set(Kind), "every kind of account grows on one side"


class Account(Struct, frozen=True):
    number: int
    code: str
    asset: str
    kind: Kind


# The same rows that the migrations seed (a test compares them): a number is never given twice.
CHART: tuple[Account, ...] = (
    Account(1000, "asset:bank", INR, Kind.ASSET),
    Account(1100, "asset:gateway:cashfree", INR, Kind.ASSET),
    Account(1101, "asset:gateway:razorpay", INR, Kind.ASSET),
    # Money of disputed payments: the gateway took it back until the dispute is decided.
    Account(1200, "asset:disputed", INR, Kind.ASSET),
    # GST on gateways' fees, to be set off against what is owed.
    Account(1300, "asset:gst_input", INR, Kind.ASSET),
    # What gateways withheld from settlements (debit) or paid on top (credit), until somebody knows why.
    Account(1400, "asset:settlement_suspense", INR, Kind.ASSET),
    Account(2000, "liability:deferred_credits", INR, Kind.LIABILITY),
    # What the gateway took and no payment has bought anything with: it is owed back until it is applied or refunded.
    Account(2010, "liability:unapplied_receipts", INR, Kind.LIABILITY),
    Account(2100, "liability:gst:cgst", INR, Kind.LIABILITY),
    Account(2101, "liability:gst:sgst", INR, Kind.LIABILITY),
    Account(2102, "liability:gst:igst", INR, Kind.LIABILITY),
    Account(2200, "liability:community_payable", INR, Kind.LIABILITY),
    Account(2300, "liability:sponsor_escrow", INR, Kind.LIABILITY),
    Account(2400, "liability:payout_in_transit", INR, Kind.LIABILITY),
    # Tax deducted and collected at source, owed to the state.
    Account(2500, "liability:tds", INR, Kind.LIABILITY),
    Account(2501, "liability:tcs", INR, Kind.LIABILITY),
    Account(4000, "revenue:credits", INR, Kind.REVENUE),
    Account(4100, "revenue:platform_fee", INR, Kind.REVENUE),
    Account(4200, "revenue:breakage", INR, Kind.REVENUE),
    Account(5000, "expense:gateway_fee", INR, Kind.EXPENSE),
    Account(5100, "expense:rounding", INR, Kind.EXPENSE),
    Account(5200, "expense:chargeback", INR, Kind.EXPENSE),
    # Refunds of credits that were spent, where the merchant bears them.
    Account(5300, "expense:clawback_absorbed", INR, Kind.EXPENSE),
    # Credits in being: what was issued is in somebody's wallet, burned or expired.
    Account(9000, "issued", CREDIT, Kind.ASSET),
    # Spent credits whose money went back: wallets owe them.
    Account(9010, "debts", CREDIT, Kind.ASSET),
    Account(9100, "wallets:paid", CREDIT, Kind.LIABILITY),
    Account(9101, "wallets:bonus", CREDIT, Kind.LIABILITY),
    Account(9102, "wallets:locked", CREDIT, Kind.LIABILITY),
    Account(9200, "communities", CREDIT, Kind.LIABILITY),
    Account(9300, "burned", CREDIT, Kind.REVENUE),
    Account(9301, "expired", CREDIT, Kind.REVENUE),
)
ACCOUNTS: dict[str, Account] = {account.code: account for account in CHART}
CODES: dict[int, str] = {account.number: account.code for account in CHART}


class AccountBalance(Struct, frozen=True):
    account: str
    asset: str
    debit: int
    credit: int


def out_of_balance(balances: Sequence[AccountBalance]) -> dict[str, int]:
    """Debits minus credits per asset; every value is zero in a book that is right."""
    sums: dict[str, int] = {}
    for balance in balances:
        sums[balance.asset] = sums.get(balance.asset, 0) + balance.debit - balance.credit
    return sums
