"""How a payment is made: the payment_method of an order-pay request, and the shapes in which Cashfree reports it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from sandbox.cards import luhn
from sandbox.cashfree import errors
from sandbox.cashfree.domain import Method

UPI_SUFFIX = "@gocash"  # the only VPAs that Cashfree's own sandbox lets pass
_UPI_CHANNELS = frozenset({"link", "collect", "qrcode"})
_CARD_CHANNELS = frozenset({"link", "post"})
_APP_PROVIDERS = frozenset(("gpay", "phonepe", "ola", "paytm", "amazon", "airtel", "freecharge", "mobikwik", "jio"))
_TEST_CARD = "4706131211212123"


@lru_cache(maxsize=1024)  # load runs pay in the same few ways
def upi(upi_id: str = "testsuccess@gocash", channel: str = "collect") -> Method:
    """By UPI: a collect request to a VPA, an intent link or a QR code."""
    details = {
        "channel": channel,
        "upi_id": upi_id,
        "upi_instrument": "UPI",
        "upi_instrument_number": "",
        "upi_payer_ifsc": "",
        "upi_payer_account_number": "",
    }
    body = msgspec.json.encode({"upi": details})
    return Method("upi", channel, "upi", body, body, upi_id)


@lru_cache(maxsize=1024)
def card(number: str = _TEST_CARD, channel: str = "link") -> Method:
    """By card; numbers that start with 5 are MasterCard's, the rest Visa's."""
    details = {
        "channel": channel,
        "card_number": "X" * (len(number) - 4) + number[-4:],
        "card_network": "mastercard" if number.startswith("5") else "visa",
        "card_type": "credit_card",
        "card_country": "IN",
        "card_bank_name": "TEST Bank",
        "card_network_reference_id": None,
        "instrument_id": None,
    }
    rest = msgspec.json.encode({"card": details})
    webhook = msgspec.json.encode({"card": {**details, "card_sub_type": "R", "par": None}})
    return Method("card", channel, "credit_card", rest, webhook, number)


@lru_cache(maxsize=64)
def netbanking(code: int = 3333, name: str = "TESTR") -> Method:
    """By net banking. The bank code is a number in API answers and a string in webhooks, as Cashfree has it."""
    details = {"channel": "link", "netbanking_bank_code": code, "netbanking_bank_name": name}
    rest = msgspec.json.encode({"netbanking": {**details, "netbanking_ifsc": "", "netbanking_account_number": ""}})
    webhook = msgspec.json.encode({"netbanking": {**details, "netbanking_bank_code": str(code)}})
    return Method("netbanking", "link", "net_banking", rest, webhook)


@lru_cache(maxsize=1024)
def app(provider: str = "phonepe", phone: str = "9999999999") -> Method:
    """By wallet."""
    rest = msgspec.json.encode({"app": {"channel": "link", "provider": provider, "phone": phone}})
    webhook = msgspec.json.encode({"app": {"channel": provider, "upi_id": None}})
    return Method("app", "link", "wallet", rest, webhook)


def named(kind: str, handle: str = "") -> Method:
    """The method of a name: upi, card, netbanking, app (or wallet); raises Refused."""
    match kind:
        case "upi":
            return upi(handle) if handle else upi()
        case "card":
            return card(handle) if handle else card()
        case "netbanking":
            return netbanking()
        case "app" | "wallet":
            return app()
        case _:
            raise errors.payment_method_invalid()


def read(payment_method: Any) -> Method:
    """The payment_method of an order-pay request, which has one key; raises Refused."""
    if not isinstance(payment_method, dict) or len(payment_method) != 1:
        raise errors.payment_method_invalid()
    [(kind, details)] = payment_method.items()
    reader = _READERS.get(kind)
    if reader is None or not isinstance(details, dict):
        raise errors.payment_method_invalid()
    return reader(details)


def _read_upi(details: dict[str, Any]) -> Method:
    channel = details.get("channel")
    if channel not in _UPI_CHANNELS:
        raise errors.payment_method_invalid()
    if channel != "collect":
        return upi(str(details.get("upi_id") or "testsuccess@gocash"), channel)
    upi_id = details.get("upi_id")
    if not isinstance(upi_id, str) or not upi_id.endswith(UPI_SUFFIX) or upi_id == "testinvalid@gocash":
        raise errors.upi_id_invalid()
    return upi(upi_id)


def _read_card(details: dict[str, Any]) -> Method:
    channel, number = details.get("channel"), str(details.get("card_number") or "").replace(" ", "")
    if channel not in _CARD_CHANNELS:
        raise errors.payment_method_invalid()
    if not number.isdecimal() or not 12 <= len(number) <= 19 or not luhn(number):
        raise errors.card_number_invalid()
    return card(number, channel)


def _read_netbanking(details: dict[str, Any]) -> Method:
    code, name = details.get("netbanking_bank_code", 3333), details.get("netbanking_bank_name", "TESTR")
    if details.get("channel") != "link" or not isinstance(code, int) or not isinstance(name, str):
        raise errors.payment_method_invalid()
    return netbanking(code, name)


def _read_app(details: dict[str, Any]) -> Method:
    provider, phone = details.get("provider"), details.get("phone")
    if provider not in _APP_PROVIDERS or not isinstance(phone, str):
        raise errors.payment_method_invalid()
    return app(provider, phone)


_READERS: dict[str, Callable[[dict[str, Any]], Method]] = {
    "upi": _read_upi,
    "card": _read_card,
    "netbanking": _read_netbanking,
    "app": _read_app,
}
