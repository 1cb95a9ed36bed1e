"""The kinds of what is sealed about webhooks (common.seals)."""

from typing import Final

SECRETS: Final = "webhook.secrets"
HEADERS: Final = "webhook.headers"
ANSWER: Final = "webhook.answer"
