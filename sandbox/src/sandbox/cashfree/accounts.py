"""Merchants' accounts at Cashfree."""

from hmac import compare_digest

from sandbox import accounts
from sandbox.cashfree import errors


class Account(accounts.Account, kw_only=True, forbid_unknown_fields=True):
    """One account. *webhook_url* is for orders without notify_url; *webhook_secret* signs in the place of the key."""

    app_id: str
    secret_key: str
    webhook_secret: str = ""
    webhook_url: str = ""

    @property
    def key(self) -> str:
        return self.app_id

    @property
    def signing_secret(self) -> str:
        """Cashfree signs webhooks with the client secret; a rotation test may want another one."""
        return self.webhook_secret or self.secret_key


class Accounts(accounts.Accounts[Account]):
    """Accounts by their app ids."""

    def admitted(self, app_id: bytes, secret_key: bytes) -> Account:
        """The account that a request's credentials prove; raises Refused."""
        account = self.find(app_id.decode("latin-1"))
        if account is None or not compare_digest(secret_key, account.secret_key.encode()):
            raise errors.wrong_credentials()
        return account
