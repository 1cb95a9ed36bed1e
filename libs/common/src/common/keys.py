"""Keys made of several parts. This is the only place that makes them: joined texts collide, these cannot.

A caller chooses some of the parts (a user id of an external issuer, an idempotency key), and with any separator
`a:b` + `c` and `a` + `b:c` are one text. Each part is therefore preceded by its length, and the whole is hashed: keys
are short, of one length, and say nothing of their parts.
"""

import hashlib


def digest(*parts: str | bytes) -> bytes:
    """32 bytes, different for different *parts*: SHA-256 over each part's length (4 bytes, big-endian) and its bytes.

    A text counts as its UTF-8; fraud's function `subject_key` in PostgreSQL does the same.
    """
    content = bytearray()
    for part in parts:
        # What comes from outside may hold lone surrogates: they have no UTF-8, and still make a key.
        encoded = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        content += len(encoded).to_bytes(4, "big")
        content += encoded
    return hashlib.sha256(content).digest()


def named(prefix: str, *parts: str | bytes) -> str:
    """`<prefix>:<digest of parts in hexadecimal>`: the name of an entry in Redis."""
    return f"{prefix}:{digest(*parts).hex()}"
