"""Whom notifier can mail: everybody whose address another service has taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import contacts
from common.errors import RequestInvalid
from common.testing import hostile
from notifier.domain.recipients import parse_address

ADDRESSES = st.builds("{}@{}".format, hostile.texts, st.sampled_from(["example.com", "x.test", "भारत.भारत", "", "a"]))


@hostile.pure
@given(hostile.texts | ADDRESSES | st.emails())
def test_what_is_taken_at_the_door_can_be_mailed(text: str) -> None:
    """One rule for all: what payment and identity store is what SMTP is given."""
    try:
        stored = contacts.email_address(text)
    except RequestInvalid:
        assert parse_address(text) is None
        return
    assert parse_address(stored) == stored
    assert stored.isascii()
    assert stored.isprintable()


@pytest.mark.parametrize("text", ["asha.rao.@example.com", ".a@x.com", "a..b@x.com", "a\u202e@b.com", "täst@x.com"])
def test_what_cannot_be_mailed_is_refused_at_the_door(text: str) -> None:
    with pytest.raises(RequestInvalid):
        contacts.email_address(text)
