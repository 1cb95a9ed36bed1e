"""What must not stand in a log line: secrets by their key, personal data by its pattern."""

import re
from collections.abc import Mapping

MASK = "***"

_SECRET_KEY = re.compile(
    r"passw|secret|token|authori[sz]ation|signature|api_?key|private_?key|credential|cookie|session_?id|\bcvv|\bcvc"
    r"|\botp\b|\bpin\b|card_?number|account_?number|\bpan\b|\bvpa\b|upi_?id|e?_?mail|phone|mobile|\bdsn\b",
    re.IGNORECASE,
)
# Our own words that contain one of the above and hold nothing secret.
_PUBLIC_KEYS = frozenset({"tokenId", "token_id", "email_id", "emailId", "paymentSessionState"})

# One pass over the text. Groups: card-like digits, else e-mail, VPA, bearer token or JWT, API key, password in a URL,
# phone.
_PERSONAL = re.compile(
    r"(?P<login>(?<=://)[^\s/:@]{0,64}:[^\s/@]{1,256}(?=@))"
    r"|(?P<bearer>\b(?:Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,})"
    r"|(?P<jwt>(?<![\w-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*)"
    r"|(?P<api_key>\b(?:sk|key)_(?:test|live)_[A-Za-z0-9]{6,})"
    r"|(?P<address>[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{1,253})"
    r"|(?P<card>(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w]))"
    r"|(?P<phone>(?<![\w.:-])\+\d{1,3}[ -]?\d(?:[ -]?\d){7,11}(?!\w)|(?<![\w.:-])[6-9]\d{4}[ -]?\d{5}(?![\w.:]))"
)


def is_secret_key(key: str) -> bool:
    """Whether a value under *key* is never to be logged."""
    return key not in _PUBLIC_KEYS and _SECRET_KEY.search(key) is not None


def mask_text(text: str) -> str:
    """*text* without e-mail addresses, VPAs, phone and card numbers, tokens, API keys and passwords in URLs."""
    return _PERSONAL.sub(_masked, text)


def mask(value: object, depth: int = 4) -> object:
    """*value* for a log line: mappings and sequences are walked to *depth*, strings masked, the rest left as it is."""
    if isinstance(value, str):
        return mask_text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {str(key): MASK if is_secret_key(str(key)) else mask(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask(item, depth - 1) for item in value]
    return mask_text(str(value))


def _masked(match: re.Match[str]) -> str:
    text = match[0]
    if match.lastgroup == "card" and not _passes_luhn(text):
        return text
    return MASK


def _passes_luhn(text: str) -> bool:
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0
