import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import seals
from common.seals import EMAIL, NAME, PHONE, SealBroken, Sealer, is_sealed, key_of, read_keys

OLD, NEW, INDEX = os.urandom(32), os.urandom(32), os.urandom(32)
SEALER = Sealer({"old": OLD}, INDEX)
ROTATED = Sealer({"new": NEW, "old": OLD}, INDEX)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
kinds = st.sampled_from([EMAIL, PHONE, NAME])


@given(kinds, texts)
def test_what_was_sealed_is_opened_and_shows_nothing(kind: str, text: str):
    sealed = SEALER.seal(kind, text)
    assert SEALER.open(kind, sealed) == text
    assert is_sealed(sealed) == bool(text)
    assert len(text) < 4 or text not in sealed
    assert not text or sealed != SEALER.seal(kind, text)


@given(kinds, st.binary(max_size=2000))
def test_bytes_are_sealed_as_texts_are(kind: str, content: bytes):
    sealed = SEALER.seal_bytes(kind, content)
    assert SEALER.open_bytes(kind, sealed) == content
    assert len(content) < 4 or content not in sealed
    assert not content or (key_of(sealed) == "old" and SEALER.open_cached(kind, sealed) == content)


@given(texts)
def test_a_text_that_looks_sealed_is_sealed_again(text: str):
    """Such a text entered as a name must not be opened as something else."""
    twice = SEALER.seal(NAME, SEALER.seal(NAME, text))
    assert SEALER.open(NAME, SEALER.open(NAME, twice)) == text


@given(texts.filter(lambda text: not is_sealed(text)))
def test_what_is_from_before_sealing_is_returned(text: str):
    assert SEALER.open(EMAIL, text) == text
    assert SEALER.open(EMAIL, f"s1.{text}") == f"s1.{text}" or is_sealed(f"s1.{text}")


@given(texts.filter(bool), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_what_was_changed_is_not_opened(text: str, place: int, change: int):
    head, _, body = SEALER.seal(EMAIL, text).rpartition(".")
    content = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    content[place % len(content)] ^= change
    with pytest.raises(SealBroken):
        SEALER.open(EMAIL, f"{head}.{base64.urlsafe_b64encode(content).decode().rstrip('=')}")


def test_a_value_stands_only_where_its_kind_belongs():
    with pytest.raises(SealBroken):
        SEALER.open(PHONE, SEALER.seal(EMAIL, "asha@example.com"))


def test_another_key_opens_nothing():
    sealed = SEALER.seal(EMAIL, "asha@example.com")
    for other in (Sealer({"old": NEW}, INDEX), Sealer({"new": NEW}, INDEX)):
        with pytest.raises(SealBroken) as broken:
            other.open(EMAIL, sealed)
        assert "asha" not in str(broken.value)


def test_the_first_key_seals_and_all_of_them_open():
    sealed = ROTATED.seal(EMAIL, "asha@example.com")
    assert (key_of(sealed), key_of(SEALER.seal(EMAIL, "x"))) == ("new", "old")
    assert ROTATED.open(EMAIL, SEALER.seal(EMAIL, "asha@example.com")) == "asha@example.com"
    with pytest.raises(SealBroken):
        SEALER.open(EMAIL, sealed)


def test_what_others_wrote_into_a_cache_is_nothing():
    kept = SEALER.seal_bytes("cache:a", b"{}")
    assert SEALER.open_cached("cache:a", kept) == b"{}"
    for forged in (b"{}", b"", None, b"s1.old.", b"s1.\xff." + bytes(40), kept[:-1], kept.replace(b"old", b"new", 1)):
        assert SEALER.open_cached("cache:a", forged) is None
    assert SEALER.open_cached("cache:b", kept) is None


@given(kinds, texts, texts)
def test_a_blind_index_is_equal_where_the_text_is_and_outlives_the_keys(kind: str, one: str, other: str):
    assert SEALER.blind_index(kind, one) == ROTATED.blind_index(kind, one)
    assert (SEALER.blind_index(kind, one) == SEALER.blind_index(kind, other)) == (one == other)
    assert SEALER.blind_index(kind, one) != Sealer({"old": OLD}, NEW).blind_index(kind, one)
    assert SEALER.blind_index(kind, one) != SEALER.blind_index(kind + "2", one)


def test_keys_are_read_with_their_ids_or_named_after_themselves():
    one, other = base64.b64encode(OLD).decode(), base64.b64encode(NEW).decode()
    assert list(read_keys(f"2026:{one}, 2025:{other}").items()) == [("2026", OLD), ("2025", NEW)]
    [(key_id, key)] = read_keys(one).items()
    assert (len(key_id), key) == (8, OLD)
    assert read_keys(f"2027:{other},{one}")[key_id] == OLD
    passphrase = "an older deployment has words and no bytes"
    assert read_keys(passphrase) == read_keys(passphrase)
    assert passphrase.encode() not in b"".join(read_keys(passphrase).values())


@pytest.mark.parametrize(
    "wrong", ["", ",", "short", "a:short", f"a b:{base64.b64encode(OLD).decode()}", "A" * 43 + "="]
)
def test_what_is_no_key_is_refused_without_being_shown(wrong: str):
    with pytest.raises(ValueError) as refused:
        read_keys(wrong)
    assert len(wrong) < 6 or wrong not in str(refused.value)


def test_keys_that_last_for_a_process():
    assert seals.generated().seal(EMAIL, "x") != "x"
