"""The proof that Razorpay's checkout hands to the browser: HMAC-SHA256(order id|payment id) under the key secret."""

import hmac


def sign(key_secret: str, gateway_order_id: str, gateway_payment_id: str) -> str:
    """The lowercase hex signature that Razorpay makes of a paid order."""
    return hmac.new(key_secret.encode(), _bytes(f"{gateway_order_id}|{gateway_payment_id}"), "sha256").hexdigest()


def is_signed(key_secret: str, gateway_order_id: str, gateway_payment_id: str, signature: str) -> bool:
    """Whether Razorpay made *signature* for these two; in constant time. Without a secret nobody signs."""
    if not key_secret:
        return False
    expected = sign(key_secret, gateway_order_id, gateway_payment_id)
    return hmac.compare_digest(expected.encode(), _bytes(signature))


def _bytes(text: str) -> bytes:
    """Of any text that a client may send, half characters included."""
    return text.encode("utf-8", "surrogatepass")
