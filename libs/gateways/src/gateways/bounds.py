"""How large what a gateway sends may be, the same for every adapter."""

from typing import Final

# Ten thousand crore rupees in paise: above what any gateway takes, and far below what a JSON number carries exactly.
MINOR_MAX: Final = 10**13
ID_CHARACTERS_MAX: Final = 128
REFERENCE_CHARACTERS_MAX: Final = 64
