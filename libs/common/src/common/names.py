"""People's names: one rule for the fleet, so that a name is shown everywhere as it was written, and nothing else is.

Refused are control and bidirectional characters, mark-up, phone numbers and what a mail reader would make a link of, in
whatever characters it is written (NFKC, and the dots that IDNA knows: UTS 46, section 4). Joiners (U+200C,
U+200D) are letters where a script needs them, as RFC 5892, Appendix A.1 and A.2, says, and hold an emoji together.
"""

import re
import unicodedata
from functools import cache
from itertools import pairwise
from typing import Final

import idna
from publicsuffixlist import PublicSuffixList

from common.errors import RequestInvalid

LENGTH_MAX: Final = 120
_JOINERS: Final = frozenset("\u200c\u200d")
_EMOJI_JOINER: Final = "\u200d"
# Between an emoji and its joiner: the picture's variation and the colour of a skin.
_EMOJI_MODIFIERS: Final = frozenset("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
# Control and format characters, surrogates, private use, line and paragraph separators.
_NOT_IN_NAMES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_MARK_UP: Final = frozenset("<>{}\\|`")
_LINK: Final = re.compile(r"://|\bwww\.|@", re.IGNORECASE)
# The one that NFKC does not turn into a full stop.
_IDEOGRAPHIC_DOT: Final = "\u3002"
# So many digits, however they are set apart: the shortest numbers that are dialled from elsewhere have them.
_PHONE: Final = re.compile(r"\d(?:[\W_]*\d){6}")


def person_name(text: str, *, field: str = "name") -> str:
    """*text*, which is a name. Raises RequestInvalid about *field* for what no name is."""
    problem = name_problem(text)
    if problem:
        raise RequestInvalid("a name is wrong", **{field: problem})
    return text


def shown_name(text: str) -> str:
    """*text* if it is a name, "" otherwise: for values that were stored before the rule, or outside of it."""
    return "" if name_problem(text) else text


def name_problem(text: str) -> str:
    """Why *text* is no name, "" when it is one."""
    if not 1 <= len(text) <= LENGTH_MAX or text != text.strip():
        return f"has 1 to {LENGTH_MAX} characters, none of them a space at either end"
    if not is_line(text):
        return "has a character that no name has"
    if _MARK_UP.intersection(text):
        return "has a character that no name has"
    compared = unicodedata.normalize("NFKC", text).replace(_IDEOGRAPHIC_DOT, ".")
    if _LINK.search(compared) or _holds_domain(compared):
        return "holds a link"
    if _PHONE.search(compared):
        return "holds a phone number"
    return ""


def is_line(text: str) -> bool:
    """Whether *text* is one line that people can read as it was written."""
    return text.isprintable() or all(is_shown(text, position) for position in range(len(text)))


def is_shown(text: str, position: int) -> bool:
    """Whether the character at *position* may be part of a line that people read: it is no control, format or
    bidirectional character, or is a joiner in a place where one belongs, between letters or in an emoji."""
    character = text[position]
    return unicodedata.category(character) not in _NOT_IN_NAMES or (character in _JOINERS and _joins(text, position))


def _joins(text: str, position: int) -> bool:
    try:
        if idna.valid_contextj(text, position):
            return True
    except ValueError:  # a neighbour is a character that Unicode does not name
        return False
    return text[position] == _EMOJI_JOINER and _joins_emoji(text, position)


def _joins_emoji(text: str, position: int) -> bool:
    before = position - 1
    while before >= 0 and text[before] in _EMOJI_MODIFIERS:
        before -= 1
    after = position + 1
    return before >= 0 and after < len(text) and _is_symbol(text[before]) and _is_symbol(text[after])


def _is_symbol(character: str) -> bool:
    return unicodedata.category(character) == "So"


def _holds_domain(text: str) -> bool:
    """Whether two labels are joined by a dot, the second one a domain of the top level; initials ("A.P.J.") have one
    letter each.
    """
    if "." not in text:
        return False
    words = "".join(character if _is_in_domains(character) else " " for character in text).split()
    return any(
        sum(map(str.isalnum, left)) > 1 and _is_suffix(right.strip("-_").lower())
        for word in words
        for left, right in pairwise(word.split("."))
    )


def _is_in_domains(character: str) -> bool:
    is_mark = unicodedata.category(character).startswith("M")
    return character.isalnum() or character in ".-_" or is_mark or character in _JOINERS


@cache
def _suffixes() -> PublicSuffixList:
    """Read when the first name holds a dot between words."""
    return PublicSuffixList(accept_unknown=False)


def _is_suffix(label: str) -> bool:
    return bool(label) and _suffixes().publicsuffix(label) is not None
