"""Razorpay's error reasons → the catalogue of ours; a bank's free text never leaves the adapter."""

# Looked for in error_reason, then in error_code; the first word that occurs decides.
_WORDS = (
    ("insufficient", "insufficient_funds"),
    ("limit", "limit_exceeded"),
    ("cancel", "dropped_by_customer"),
    ("dropped", "dropped_by_customer"),
    ("session_expired", "dropped_by_customer"),
    ("declin", "declined"),
    ("risk", "declined"),
    ("blocked", "declined"),
    ("fraud", "declined"),
    ("otp", "authentication_failed"),
    ("pin", "authentication_failed"),
    ("authenticat", "authentication_failed"),
    ("invalid", "invalid_details"),
    ("incorrect", "invalid_details"),
    ("expired", "invalid_details"),
    ("timed_out", "bank_unavailable"),
    ("timeout", "bank_unavailable"),
    ("unavailable", "bank_unavailable"),
    ("down", "bank_unavailable"),
    ("technical", "bank_unavailable"),
    ("server_error", "bank_unavailable"),
)


def reason_of(*codes: str) -> str:
    """The catalogue's word for the first code that says something; "failed" when none does."""
    for code in codes:
        lowered = code.lower()
        for word, reason in _WORDS:
            if word in lowered:
                return reason
    return "failed"
