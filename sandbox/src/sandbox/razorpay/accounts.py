"""Merchants' accounts at Razorpay: keys, webhook, and what the dashboard sets."""

import base64
from collections.abc import Iterable
from hmac import compare_digest

import msgspec

from sandbox.razorpay import errors
from sandbox.razorpay.ids import new_id


class Account(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
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

    def __post_init__(self) -> None:
        if not self.key_id.startswith("rzp_test_") or ":" in self.key_id or not self.key_secret:
            raise ValueError("a key id starts with rzp_test_, and has a secret")


class Accounts:
    """Accounts by their key ids; those of the settings come back when all is forgotten."""

    def __init__(self, own: Iterable[Account]) -> None:
        self._own = list(own)
        self._by_key: dict[str, Account] = {}
        self.clear()

    def put(self, account: Account) -> Account:
        """Add an account; one with the same key id keeps what it has, and takes over the rest."""
        known = self._by_key.get(account.key_id)
        if known is None:
            self._by_key[account.key_id] = account
            return account
        for name in account.__struct_fields__:
            if name != "account_id":
                setattr(known, name, getattr(account, name))
        return known

    @property
    def first(self) -> Account:
        """The first account of the settings."""
        return self._by_key[self._own[0].key_id]

    def of_key(self, key_id: str) -> Account:
        """The account of a key id; raises Refused."""
        account = self._by_key.get(key_id)
        if account is None:
            raise errors.wrong_credentials()
        return account

    def of_id(self, account_id: str) -> Account:
        """The account of that id; raises Refused."""
        account = next((each for each in self._by_key.values() if each.account_id == account_id), None)
        if account is None:
            raise errors.unknown_id()
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

    def clear(self) -> None:
        """Keep only the accounts of the settings, as those say."""
        self._by_key = {each.key_id: msgspec.structs.replace(each) for each in self._own}
