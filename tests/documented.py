"""What documents tell a reader to run: the commands, statements and scripts of the operating pages and the README."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```.*?\n(.*?)^```", flags=re.M | re.S)


def pages() -> list[Path]:
    return [
        ROOT / "README.md",
        *sorted((ROOT / "docs/operating").rglob("*.md")),
        *sorted(ROOT.glob("services/*/README.md")),
    ]


def blocks(page: Path) -> list[str]:
    return _BLOCK.findall(page.read_text())


def spans(page: Path) -> list[str]:
    """Inline code."""
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", page.read_text()))


def commands() -> dict[tuple[str, ...], str]:
    """Every `commdesk …` with something after it, as its words, with the first page that has it."""
    found: dict[tuple[str, ...], str] = {}
    for page in pages():
        for line in [line for block in blocks(page) for line in block.splitlines()] + spans(page):
            # What follows two blanks or a # is said about the command.
            code = re.split(r"\s#|\s{2,}", line)[0]
            if match := re.fullmatch(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?commdesk ([a-z].*)", code.strip()):
                found.setdefault(tuple(shlex.split(match[1])), page.relative_to(ROOT).as_posix())
    return found


def statements() -> dict[str, str]:
    """SQL in the text, with the first page that has it."""
    found: dict[str, str] = {}
    for page in pages():
        for span in spans(page):
            if re.match(r"(select|comment on) ", span):
                found.setdefault(span, page.relative_to(ROOT).as_posix())
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """PromQL in the text of the operating pages, with its page."""
    for page in pages():
        for span in spans(page):
            if re.match(r"(sum|max|min|rate|increase|histogram_quantile)\b.*\(", span):
                yield span, page.relative_to(ROOT).as_posix()
