"""Merchants' accounts at Razorpay: keys, webhook, and what the dashboard sets."""

import base64
from hmac import compare_digest

import msgspec

from sandbox import accounts
from sandbox.razorpay import errors
from sandbox.razorpay.ids import new_id


class Account(accounts.Account, kw_only=True, forbid_unknown_fields=True):
    """One account. Without *events* every event is announced; *captures_automatically* is for orders that do not say.

    *requires_unique_receipts* refuses an order whose receipt an earlier one has.
    """

    key_id: str
    key_secret: str
    webhook_secret: str = ""
    webhook_url: str = ""
    events: frozenset[str] = frozenset()
    captures_automatically: bool = True
    requires_unique_receipts: bool = False
    account_id: str = msgspec.field(default_factory=lambda: new_id("acc"))

    @property
    def key(self) -> str:
        return self.key_id

    def __post_init__(self) -> None:
        if not self.key_id.startswith("rzp_test_") or ":" in self.key_id or not self.key_secret:
            raise ValueError("a key id starts with rzp_test_, and has a secret")


class Accounts(accounts.Accounts[Account]):
    """Accounts by their key ids."""

    def of_key(self, key_id: str) -> Account:
        """The account of a key id; raises Refused."""
        account = self.find(key_id)
        if account is None:
            raise errors.wrong_credentials()
        return account

    def admitted(self, authorization: bytes) -> Account:
        """The account that an Authorization header proves; raises Refused."""
        scheme, _, encoded = authorization.decode("latin-1").partition(" ")
        if scheme != "Basic" or not encoded:
            raise errors.credentials_missing()
        try:
            key_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError as problem:
            raise errors.wrong_credentials() from problem
        account = self.of_key(key_id)
        if not compare_digest(secret.encode(), account.key_secret.encode()):
            raise errors.wrong_credentials()
        return account
