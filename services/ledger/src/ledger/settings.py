"""What ledger reads from its environment."""

from collections.abc import Iterator
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from common.setting_checks import Secret, rule
from common.setting_keys import json_list, raw_keys, secret_raw_key
from common.settings import ServiceSettings

ANCHOR_EXPECTED = "an anchor is file:///folder or s3://bucket/prefix"


class Settings(ServiceSettings):
    required: ClassVar[frozenset[str]] = ServiceSettings.required | {"ledger_signing_key"}

    # The time between two snapshots of the balances, in seconds; a trial balance adds up by entries what came since.
    snapshot_seconds: float = Field(15, gt=0)
    # The time between two seals of what was booked, in seconds: until then a change of a row leaves no trace.
    ledger_seal_seconds: float = Field(30, gt=0)
    # Ed25519, base64 of the raw 32 bytes: signs the heads of the hash chain.
    ledger_signing_key: Annotated[SecretStr, Secret(length_min=43)] = SecretStr("")
    # Public keys whose private half signed heads before, a JSON list of base64.
    ledger_retired_keys: tuple[str, ...] = ()
    # Where heads are written outside the database: file:///folder or s3://bucket/prefix. It should keep what it has
    # (object lock, or a folder that others own). Empty writes none, and a rebuilt chain is not noticed then.
    ledger_anchor_url: str = ""
    # The URL of an S3-compatible store that is not AWS.
    ledger_anchor_endpoint: str = ""
    # The region of the bucket.
    ledger_anchor_region: str = ""
    # Who writes to the bucket; may read, list and make objects, not delete them.
    ledger_anchor_access_key_id: str = ""
    # The secret of LEDGER_ANCHOR_ACCESS_KEY_ID.
    ledger_anchor_secret_access_key: SecretStr = SecretStr("")

    _list = field_validator("ledger_retired_keys", mode="before")(json_list)
    _secret = field_validator("ledger_signing_key")(secret_raw_key)
    _keys = field_validator("ledger_retired_keys")(raw_keys)

    @field_validator("ledger_anchor_url")
    @classmethod
    def _is_an_anchor(cls, value: str) -> str:
        parts = urlsplit(value)
        is_folder = parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")
        if value and not is_folder and not (parts.scheme == "s3" and parts.netloc and not parts.username):
            raise ValueError(ANCHOR_EXPECTED)
        return value

    @rule("ledger_anchor_access_key_id", "ledger_anchor_secret_access_key")
    def _anchor_has_a_secret(self) -> Iterator[str]:
        if self.ledger_anchor_access_key_id and not self.ledger_anchor_secret_access_key.get_secret_value():
            yield "LEDGER_ANCHOR_ACCESS_KEY_ID needs LEDGER_ANCHOR_SECRET_ACCESS_KEY"
