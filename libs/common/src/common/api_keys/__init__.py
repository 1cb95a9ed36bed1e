"""API keys of merchants: their text, where a request carries one, and whose it is. Identity owns them (ADR 0068)."""

from common.api_keys.credentials import CredentialsAmbiguous, Presented, presented
from common.api_keys.resolution import (
    ApiKeyGuessesThrottled,
    ApiKeyNetworkNotAllowed,
    ApiKeyOriginNotAllowed,
    ApiKeys,
    ResolvedKey,
)
from common.api_keys.texts import KNOWN_KEYS, ApiKeyInvalid, Environment, KeyText, Kind, generate, read

__all__ = [
    "KNOWN_KEYS",
    "ApiKeyGuessesThrottled",
    "ApiKeyInvalid",
    "ApiKeyNetworkNotAllowed",
    "ApiKeyOriginNotAllowed",
    "ApiKeys",
    "CredentialsAmbiguous",
    "Environment",
    "KeyText",
    "Kind",
    "Presented",
    "ResolvedKey",
    "generate",
    "presented",
    "read",
]
