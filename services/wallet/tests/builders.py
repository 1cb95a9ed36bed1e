"""What tests are made of: owners, grants, consumptions and wallets, with the ₹500 pack as the default."""

from itertools import count
from uuid import UUID

from common import ids
from common.money import Money
from wallet.domain.holds import HoldOutcome, HoldRequest, HoldState, SpentCredits
from wallet.domain.operations import Consumption, Forgiveness, Grant
from wallet.domain.wallets import Owner, Wallet

MERCHANT = "mer_commdesk"

_numbers = count(1)


def new_id() -> UUID:
    """Ids in the order in which they are asked for."""
    return UUID(int=next(_numbers))


def owner(name: str = "usr_asha", merchant_id: str = MERCHANT, kind: str = "USER") -> Owner:
    return Owner(merchant_id, kind, name)


def grant(
    to: Owner | None = None,
    paid: int = 5000,
    bonus: int = 500,
    net: int = 42_373,
    payment_id: UUID | None = None,
    currency: str = "INR",
) -> Grant:
    """What the ₹500 pack buys, unless changed."""
    return Grant(to or owner(), payment_id or ids.new(), paid, bonus, Money(net, currency))


def consumption(credits: int, key: str | None = None, of: Owner | None = None, purpose: str = "boost") -> Consumption:
    return Consumption(key or f"op-{ids.new()}", of or owner(), credits, purpose, "post-1")


def refund_key() -> str:
    return f"refund:{ids.encode('rfd', ids.new())}"


def hold(
    of: Grant, paid: int = 5000, bonus: int = 500, policy: SpentCredits = SpentCredits.DEBT, key: str | None = None
) -> HoldRequest:
    """All that the ₹500 pack bought, unless changed."""
    return HoldRequest(refund_key() if key is None else key, of.owner, of.payment_id, paid, bonus, policy)


def outcome(hold_id: UUID, request: HoldRequest, state: HoldState) -> HoldOutcome:
    return HoldOutcome(hold_id, request.operation_key, request.owner.merchant_id, state)


def forgiveness(credits: int, key: str = "forgive-1", of: Owner | None = None) -> Forgiveness:
    return Forgiveness(key, of or owner(), credits, "a friend of the house", "operator:mira")


def wallet(of: Owner | None = None) -> Wallet:
    return Wallet(UUID(int=2**127), of or owner(), "INR")
