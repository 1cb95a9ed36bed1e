"""What wallet reads from the environment."""

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    # Whose packs are shown to visitors who do not say whose they want.
    default_merchant_id: str = "mer_commdesk"
