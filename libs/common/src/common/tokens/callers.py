"""The person who calls."""

import msgspec

from common.tokens.roles import privileged


class Caller(msgspec.Struct, frozen=True):
    """The person, as the token's issuer vouches for them. *roles* are upper case.

    *permissions* (protos/permissions.toml) are what they may do: routes and use cases ask for these, never for a role.

    *session_id* and *user_version* (of the account, when the token was issued) are what revocations name; tokens of
    other issuers have neither. *authenticated_at_seconds* is when the person last proved who they are, by *methods*
    (`amr` of RFC 8176: `pwd`, `otp`).
    """

    user_id: str
    merchant_id: str
    roles: frozenset[str] = frozenset()
    email: str = ""
    name: str = ""
    phone: str = ""
    token_id: str = ""
    session_id: str = ""
    user_version: int = 0
    issued_at_seconds: int = 0
    authenticated_at_seconds: int = 0
    methods: frozenset[str] = frozenset()
    is_email_verified: bool = False
    permissions: frozenset[str] = frozenset()
    # The API key of a request that carries one (common.api_keys). Such a caller is its merchant: it has no user.
    api_key_id: str = ""
    # Of a member of a merchant's account who acts for one of its environments, merchant_id: the account and the roles
    # in it. The platform's roles do not count there, and are none.
    account_id: str = ""
    member_roles: frozenset[str] = frozenset()
    # Whose user a member is; "" means merchant_id.
    home_merchant_id: str = ""

    @property
    def actor_id(self) -> str:
        """Who the audit log says it was: the user, or the API key."""
        return self.user_id or self.api_key_id

    @property
    def is_privileged(self) -> bool:
        """Whether the caller may do more than for themselves."""
        return bool(self.account_id or privileged(self.roles))
