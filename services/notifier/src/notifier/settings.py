"""What notifier reads from the environment."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from common import contacts
from common.errors import RequestInvalid
from common.settings import ServiceSettings


class Settings(ServiceSettings):
    # The mail relay's host.
    smtp_host: str = "127.0.0.1"
    # The mail relay's port.
    smtp_port: int = Field(25, ge=1, le=65535)
    # The login at the relay; empty logs nobody in.
    smtp_username: str = ""
    # The password of that login.
    smtp_password: SecretStr = SecretStr("")
    # "auto" upgrades when the server offers it; "starttls" insists; "implicit" speaks TLS from the first byte.
    smtp_tls: Literal["auto", "starttls", "implicit", "none"] = "auto"
    # Certificate authorities to trust instead of the system's, for a relay of our own.
    smtp_ca_file: str = ""
    # How many connections to the relay are open at most.
    smtp_connections: int = Field(8, ge=1, le=64)
    # The address that mails come from.
    sender_email: str = "billing@commdesk.example"
    # The name that mails come from.
    sender_name: str = "CommDesk"
    # The address that mails name for questions.
    support_email: str = "support@commdesk.example"
    # The operators who get alerts: addresses, comma-separated; empty mails nobody.
    admin_email: Annotated[tuple[str, ...], NoDecode] = ()
    # After an alert was mailed, others of its cause are gathered into one mail for this long, in seconds.
    alert_digest_seconds: int = Field(300, ge=1)

    # How long it is kept to whom a mail went, in days; that it was sent stays.
    mail_recipients_keep_days: int = Field(180, ge=1)

    @field_validator("admin_email", mode="before")
    @classmethod
    def _several_admins(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _addresses_are_addresses(self) -> Self:
        try:
            for address in (self.sender_email, self.support_email, *self.admin_email):
                contacts.email_address(address, test_domains=self.environment != "production")
        except RequestInvalid:
            raise ValueError("SENDER_EMAIL, SUPPORT_EMAIL and ADMIN_EMAIL must be e-mail addresses") from None
        if not self.sender_name.isprintable():
            raise ValueError("SENDER_NAME must be one printable line")
        return self

    @model_validator(mode="after")
    def _passwords_travel_encrypted(self) -> Self:
        if self.environment == "production" and self.smtp_username and self.smtp_tls not in ("starttls", "implicit"):
            raise ValueError("in production a login needs SMTP_TLS=starttls or implicit")
        return self
