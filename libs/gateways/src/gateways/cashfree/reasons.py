"""Cashfree's error reasons → the catalogue of ours; a bank's free text never leaves the adapter."""

# Looked for in error_reason, then in error_code; the first word that occurs decides.
WORDS = (
    ("insufficient", "insufficient_funds"),
    ("limit", "limit_exceeded"),
    ("cancel", "dropped_by_customer"),
    ("drop", "dropped_by_customer"),
    ("auth_declined", "declined"),
    ("declin", "declined"),
    ("risk", "declined"),
    ("blocked", "declined"),
    ("otp", "authentication_failed"),
    ("pin", "authentication_failed"),
    ("3ds", "authentication_failed"),
    ("authenticat", "authentication_failed"),
    ("invalid", "invalid_details"),
    ("expired", "invalid_details"),
    ("unavailable", "bank_unavailable"),
    ("timeout", "bank_unavailable"),
    ("timed_out", "bank_unavailable"),
    ("downtime", "bank_unavailable"),
    ("technical", "bank_unavailable"),
)


def reason_of(*codes: str) -> str:
    """The catalogue's word for the first code that says something; "failed" when none does."""
    for code in codes:
        lowered = code.lower()
        for word, reason in WORDS:
            if word in lowered:
                return reason
    return "failed"
