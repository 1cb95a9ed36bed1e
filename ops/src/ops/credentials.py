"""The generated passwords and keys of one local stack, kept in RUN_DIR/secrets.json."""

import base64
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from common.services import SCHEMAS, SERVICES
from common.topology import MIGRATOR, users
from ops.private_files import write_private

# Those who sign service tokens: every service, and the command line.
OPERATOR = "operator"
# What signs the users' access tokens, and the heads of the ledger's hash chain.
OTHER_KEYS = ("identity-tokens", "ledger-heads")

# The engines' administrators first: they are in nobody's hands but this tool's and the tests'.
WORDS = (
    "postgresql_superuser",
    "rabbitmq_administrator",
    "redis",
    "erlang_cookie",
    "jwt_secret",
    "cashfree_secret_key",
    "razorpay_key_secret",
    "razorpay_webhook_secret",
    "backup_passphrase",
)

# The Ed25519 key pairs are base64 of the raw 32 bytes, as every service reads them.
KeyPair = dict[str, str]

T = TypeVar("T")


class Credentials(Struct, frozen=True):
    """Local test credentials: unguessable, never used elsewhere, stable as long as the stack's folder exists."""

    database: dict[str, str] = {}
    """Password by PostgreSQL role, two for each service: what `common.bootstrap` makes."""
    broker: dict[str, str] = {}
    """Password by RabbitMQ user of the contract, and of `migrator`, which declares: likewise."""
    redis: dict[str, str] = {}
    """Password by Redis user, one for each service."""
    keys: dict[str, KeyPair] = {}
    """Key pair by signer of service tokens, and those of OTHER_KEYS."""
    words: dict[str, str] = {}
    """Everything else by name; see WORDS."""

    def public_keys(self) -> dict[str, str]:
        """What SERVICE_PUBLIC_KEYS holds: public key by signer."""
        return {name: pair["public"] for name, pair in self.keys.items() if name not in OTHER_KEYS}


def load_or_generate(path: Path) -> Credentials:
    """The credentials in `path`; whatever is missing is generated and saved, so that a new service finds its own."""
    credentials = complete(json.loads(path.read_text()) if path.is_file() else {})
    write_private(path, json.dumps(msgspec.structs.asdict(credentials), indent=2) + "\n")
    return credentials


def complete(saved: Mapping[str, Any]) -> Credentials:
    """The credentials that were saved, and new ones for whatever has none."""
    credentials = Credentials(
        **{name: dict(saved.get(name, {})) for name in ("database", "broker", "redis", "keys", "words")}
    )
    _fill(credentials.database, [*SCHEMAS, *(f"{schema}_owner" for schema in SCHEMAS)], _password)
    _fill(credentials.broker, [MIGRATOR, *users()], _password)
    _fill(credentials.redis, SERVICES, _password)
    _fill(credentials.keys, [*SERVICES, OPERATOR, *OTHER_KEYS], _key_pair)
    _fill(credentials.words, WORDS, _password)
    _fill(credentials.words, ["encryption_key", "blind_index_key"], _symmetric_key)
    _fill(credentials.words, ["cashfree_app_id"], lambda: f"TEST{secrets.token_hex(8)}")
    _fill(credentials.words, ["razorpay_key_id"], lambda: f"rzp_test_{secrets.token_hex(7)}")
    return credentials


def _fill(into: dict[str, T], names: Iterable[str], make: Callable[[], T]) -> None:
    for name in names:
        if name not in into:
            into[name] = make()


def _password() -> str:
    return secrets.token_hex(24)  # hexadecimal: safe in URLs, configuration files and shells as it is


def _symmetric_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _key_pair() -> KeyPair:
    private = Ed25519PrivateKey.generate()
    return {
        "private": base64.b64encode(private.private_bytes_raw()).decode(),
        "public": base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    }
