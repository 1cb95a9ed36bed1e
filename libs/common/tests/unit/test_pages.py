import base64
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from common import pages
from common.pages import CursorInvalid, Page, PageQuery

ID = UUID("01a21dfc-d628-7155-ac42-2b1e57e554d1")
TIME = datetime(2026, 4, 1, 12, 30, 0, 123456, tzinfo=UTC)


def test_a_cursor_gives_back_its_values():
    text = pages.encode_cursor(TIME, ID, 5)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert pages.decode_cursor(text, datetime, UUID, int) == (TIME, ID, 5)
    assert pages.decode_cursor(pages.encode_cursor("naïve", -1), str, int) == ("naïve", -1)


def forged(document: str) -> str:
    return base64.urlsafe_b64encode(document.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        "ä",
        pages.encode_cursor(ID),
        pages.encode_cursor(5, 5),
        pages.encode_cursor("5"),
        forged("[9223372036854775808]"),
        forged("[1e3]"),
        forged("[[]]"),
        forged("{}"),
        forged("[1"),
        pages.encode_cursor(5)[:-1],
    ],
)
def test_what_is_no_cursor_of_this_list_is_refused(text: str):
    with pytest.raises(CursorInvalid):
        pages.decode_cursor(text, int)


def test_a_forged_text_or_time_that_no_column_takes_is_refused():
    for document, type in (('["\\u0000"]', str), ('["2026-04-01T00:00:00"]', datetime)):
        with pytest.raises(CursorInvalid):
            pages.decode_cursor(forged(document), type)


@pytest.mark.parametrize(("rows", "cursor"), [([], None), ([1, 2], None), ([1, 2, 3], "2")])
def test_the_row_beyond_the_limit_says_that_there_is_more(rows: list[int], cursor: str | None):
    page = pages.page(rows, 2, view=lambda row: {"n": row}, cursor=str)
    assert page == Page([{"n": row} for row in rows[:2]], cursor)
    assert msgspec.to_builtins(page) == {"items": [{"n": row} for row in rows[:2]], "nextCursor": cursor}


def test_a_page_has_a_limit():
    for limit in ("0", "201", "-1"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"limit": limit}, PageQuery, strict=False)
    assert msgspec.convert({"limit": "200"}, PageQuery, strict=False).limit == 200
