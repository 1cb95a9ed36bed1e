"""docs/reference/requirements.md: every item stands there once, has a verdict, and names what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/requirements.md"
VERDICTS = {"works", "role", "not meant", "not yet"}
# The groups that the page covers, by their numbers in the source documents.
GROUPS = {
    "000.R": ("S000", 363, 375),
    "000.S": ("S000", 376, 388),
    "000.T": ("S000", 389, 409),
    "000.U": ("S000", 410, 425),
    "000.V": ("S000", 426, 441),
    "000.W": ("S000", 442, 454),
    "001.U": ("S001", 267, 280),
    "001.V": ("S001", 281, 290),
    "001.W": ("S001", 291, 298),
    "001.X": ("S001", 299, 321),
    "003.A": ("S003", 1, 4),
    "003.B": ("S003", 5, 13),
    "003.C": ("S003", 14, 22),
    "003.D": ("S003", 23, 31),
    "003.E": ("S003", 32, 39),
    "003.F": ("S003", 40, 44),
    "003.G": ("S003", 45, 55),
    "003.H": ("S003", 56, 60),
    "003.I": ("S003", 61, 64),
    "003.N": ("S003", 116, 124),
    "003.O": ("S003", 125, 130),
    "003.P": ("S003", 131, 135),
    "003.R": ("S003", 153, 162),
    "003.S": ("S003", 163, 171),
    "003.T": ("S003", 172, 175),
    "003.U": ("S003", 176, 190),
    "003.W": ("S003", 201, 214),
    "004.A": ("S004", 1, 21),
    "004.B": ("S004", 22, 24),
    "004.C": ("S004", 25, 45),
    "004.D": ("S004", 46, 60),
    "004.E": ("S004", 61, 96),
    "004.F": ("S004", 97, 106),
    "004.G": ("S004", 107, 110),
    "004.H": ("S004", 111, 120),
    "004.I": ("S004", 121, 132),
    "004.J": ("S004", 133, 151),
    "004.K": ("S004", 152, 157),
    "004.L": ("S004", 158, 162),
    "004.M": ("S004", 163, 165),
    "004.N": ("S004", 166, 166),
    "004.O": ("S004", 167, 182),
}
# A path has a folder, or is a file of the root.
PATH = re.compile(r"[.\w][\w.-]*(?:/[\w.-]+)+|Dockerfile|Makefile|compose\.yaml|README\.md")


def rows(group: str = "") -> list[tuple[str, str, str, str]]:
    """The cells of each item, of one group or of all."""
    text = PAGE.read_text()
    if group:
        text = text.partition(f"### {group} ")[2].partition("\n#")[0]
    found = re.findall(r"^\| (S\d{3}-\d{3}) \| (.*?) \| (.*?) \| (.*?) \|$", text, flags=re.M)
    return [(str(each[0]), str(each[1]), str(each[2]), str(each[3])) for each in found]


@pytest.mark.parametrize("group", GROUPS)
def test_every_item_of_a_group_stands_in_it_once(group: str) -> None:
    document, first, last = GROUPS[group]
    assert [row[0] for row in rows(group)] == [f"{document}-{number:03d}" for number in range(first, last + 1)]


def test_no_item_stands_anywhere_else() -> None:
    assert len(rows()) == sum(last - first + 1 for _, first, last in GROUPS.values())
    assert len(re.findall(r"^\| S\d{3}-\d{3} ", PAGE.read_text(), flags=re.M)) == len(rows())


def test_every_item_says_what_was_asked_and_has_a_verdict_with_its_reason() -> None:
    assert [row for row in rows() if row[2] not in VERDICTS or not row[1] or not row[3]] == []


def test_what_works_or_plays_a_role_names_where() -> None:
    nameless = [row[0] for row in rows() if row[2] in ("works", "role") and "`" not in row[3] and not cited(row[3])]
    assert nameless == []


def test_every_path_exists() -> None:
    missing = [
        (row[0], span)
        for row in rows()
        for span in re.findall(r"`([^`]+)`", row[3])
        if PATH.fullmatch(span) and not (ROOT / span).exists()
    ]
    assert missing == []


def test_every_scenario_exists() -> None:
    """What is named in brackets behind a module of fault scenarios is declared in it."""
    missing = []
    for row in rows():
        for path, names in re.findall(r"`(tests/faults/scenarios/\w+\.py)` \(([^)]*)\)", row[3]):
            text = (ROOT / path).read_text()
            missing += [(row[0], name) for name in names.split(", ") if f'@scenario("{name}-' not in text]
    # A name without its number's continuation is that of a scenario itself.
    assert [each for each in missing if f'"{each[1]}"' not in scenarios()] == []


def test_every_other_item_that_is_referred_to_exists() -> None:
    known = {row[0] for row in rows()}
    assert [row[0] for row in rows() if not cited(row[3]) <= known] == []


def test_every_alert_that_is_named_exists() -> None:
    rules = "\n".join(path.read_text() for path in (ROOT / "monitoring/rules").glob("*.yml"))
    named = {
        name
        for row in rows()
        if "monitoring/rule" in row[3]
        for name in re.findall(r"\b([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b", row[3])
    }
    assert {"QueueStuck", "RedisDown"} <= named
    assert {name for name in named if f"alert: {name}" not in rules} == set()


def cited(text: str) -> set[str]:
    return set(re.findall(r"S\d{3}-\d{3}", text))


def scenarios() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "tests/faults/scenarios").glob("*.py"))
