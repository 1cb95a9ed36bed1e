"""How a payment is made: by name, or as the hosted page's form says."""

from functools import lru_cache

from sandbox.cards import luhn
from sandbox.razorpay import errors
from sandbox.razorpay.domain import Method

_TEST_CARD = "4100280000001007"
_NETWORKS = {"4": "Visa", "5": "MasterCard", "6": "RuPay", "34": "American Express", "37": "American Express"}
_BANK, _WALLET = "HDFC", "airtelmoney"


@lru_cache(maxsize=1024)  # load runs pay in the same few ways
def upi(vpa: str = "success@razorpay") -> Method:
    """By UPI; raises Refused."""
    name, at, bank = vpa.partition("@")
    if not (name and at and bank) or " " in vpa:
        raise errors.vpa_invalid()
    return Method("upi", vpa)


@lru_cache(maxsize=1024)
def card(number: str = _TEST_CARD) -> Method:
    """By card; raises Refused."""
    number = number.replace(" ", "")
    if not (number.isascii() and number.isdecimal() and 12 <= len(number) <= 19 and luhn(number)):
        raise errors.card_number_invalid()
    return Method("card", number, network=_NETWORKS.get(number[:2]) or _NETWORKS.get(number[0], "Unknown"))


@lru_cache(maxsize=64)
def netbanking(bank: str = _BANK) -> Method:
    """By net banking, which takes no instant refund."""
    return Method("netbanking", bank=bank, is_instantly_refundable=False)


@lru_cache(maxsize=64)
def wallet(name: str = _WALLET) -> Method:
    return Method("wallet", wallet=name)


def named(kind: str, handle: str = "") -> Method:
    """The method of a name: upi, card, netbanking, wallet (or app); raises Refused."""
    given = (handle,) if handle else ()
    match kind:
        case "upi":
            return upi(*given)
        case "card":
            return card(*given)
        case "netbanking":
            return netbanking(*given)
        case "wallet" | "app":
            return wallet(*given)
        case _:
            raise errors.payment_method_invalid()
