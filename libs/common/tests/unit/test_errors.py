import pickle

import pytest

from common import errors
from common.errors import (
    KINDS,
    DomainError,
    InvalidArgument,
    LimitExceeded,
    NotFound,
    Unavailable,
    Unresolved,
    kind_of,
    require_at_most,
    revived,
)


class GSTNumberUnknown(NotFound):
    fix = "Check the number."


class GSTNumberRetired(GSTNumberUnknown):
    pass


def test_a_class_name_is_the_code_and_the_kind_is_inherited():
    assert GSTNumberUnknown.code == "gst_number_unknown"
    assert kind_of(GSTNumberRetired("x")) is NotFound
    assert GSTNumberRetired().kind == "NotFound"


def test_every_kind_is_a_direct_subclass_and_explains_itself():
    assert set(KINDS) == {cls for cls in DomainError.__subclasses__() if cls.__module__ == errors.__name__}
    assert all(kind.fix.endswith(".") for kind in KINDS)


def test_the_catalogue_lists_codes_kinds_and_fixes():
    entries = {entry.code: entry for entry in errors.catalogue()}
    assert (entries["gst_number_unknown"].kind, entries["gst_number_unknown"].fix) == ("NotFound", "Check the number.")
    assert entries["not_found"].meaning == "The thing is not there, or not the caller's to see."
    assert {kind.code for kind in KINDS} <= {*entries}


def test_fields_may_have_any_name():
    error = InvalidArgument("wrong", **{"message": "a", "self": "b", "amount.minor": "c"})
    assert error.fields == {"message": "a", "self": "b", "amount.minor": "c"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_revived_error_keeps_kind_and_code(kind: type[DomainError]):
    error = revived("something_elsewhere", kind.kind, "text", {"a": "b"})
    assert type(error) is kind
    assert (error.code, error.message, error.fields) == ("something_elsewhere", "text", {"a": "b"})
    assert kind.code != "something_elsewhere"


def test_a_kind_nobody_knows_says_nothing_about_what_happened():
    assert type(revived("new_thing", "BrandNewKind")) is Unresolved


def test_errors_survive_pickling():
    error = Unavailable("later", why="busy")
    error.retry_after_seconds = 7
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.message, copy.fields, copy.retry_after_seconds) == ("later", {"why": "busy"}, 7)


def test_a_limit_names_the_fields_that_are_beyond_it():
    require_at_most(3, ids=0, limit=3)
    with pytest.raises(LimitExceeded) as refused:
        require_at_most(3, ids=4, limit=-1, owners=2)
    assert refused.value.fields == {"ids": "0 to 3", "limit": "0 to 3"}
