"""The free map that a client keeps with a payment: any JSON, bounded. It comes back as sent, and nothing reads it."""

from typing import Any

ENTRIES_MAX, VALUES_MAX, NAME_MAX, TEXT_MAX, DEPTH_MAX = 20, 100, 40, 200, 5
# PostgreSQL writes a number of a jsonb in full: 1e300 would be three hundred digits in each answer.
_INTEGER_MAX, _DECIMAL_MAX, _DECIMAL_MIN = 2**63, 1e15, 1e-9

# Texts, numbers, booleans, nulls, lists and maps. A decimal is a double here: amounts belong in `amount`.
Metadata = dict[str, Any]


def problem(metadata: Metadata) -> str:
    """What is wrong with *metadata*, "" when nothing is. Lists and maps nest DEPTH_MAX deep, *metadata* counted."""
    if len(metadata) > ENTRIES_MAX:
        return f"has more than {ENTRIES_MAX} entries"
    values = 0
    containers: list[Any] = [metadata]
    for _ in range(DEPTH_MAX):
        names, items = _contents(containers)
        values += len(items)
        if values > VALUES_MAX:
            return f"has more than {VALUES_MAX} values"
        if not all(1 <= len(name) <= NAME_MAX and _is_storable(name) for name in names):
            return f"has a name that is not 1 to {NAME_MAX} characters"
        containers = [item for item in items if isinstance(item, dict | list)]
        if found := next(filter(None, map(_value_problem, items)), ""):
            return found
        if not containers:
            return ""
    return f"is nested deeper than {DEPTH_MAX}"


def _contents(containers: list[Any]) -> tuple[list[str], list[Any]]:
    """The names and the values of all maps, and the values of all lists."""
    maps = [each for each in containers if isinstance(each, dict)]
    lists = [each for each in containers if isinstance(each, list)]
    names = [name for each in maps for name in each]
    return names, [value for each in maps for value in each.values()] + [value for each in lists for value in each]


def _value_problem(value: Any) -> str:
    if isinstance(value, str) and (len(value) > TEXT_MAX or not _is_storable(value)):
        return f"has a text that is longer than {TEXT_MAX} characters"
    if isinstance(value, int) and not -_INTEGER_MAX <= value < _INTEGER_MAX:
        return "has a number that is too large"
    if isinstance(value, float) and value != 0 and not _DECIMAL_MIN <= abs(value) <= _DECIMAL_MAX:
        return "has a number that is out of range"
    return ""


def _is_storable(text: str) -> bool:
    """PostgreSQL stores no NUL in a text."""
    return "\0" not in text
