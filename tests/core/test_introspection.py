"""What introspection finds crosses as JSON and comes back as it was."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core import introspection
from rpyc_kernel.core.introspection import (
    Cells,
    Completion,
    Completions,
    Page,
    Signature,
    Variable,
    make_found_encoder,
    read_found,
)

encode_found = make_found_encoder(json)
KINDS = [kind for kind in vars(introspection).values() if dataclasses.is_dataclass(kind)]

completions = st.builds(Completion, st.text(), st.text(), st.text())
variables = st.builds(
    Variable, st.text(), st.text(), st.text(), st.none() | st.integers(), st.none() | st.tuples(st.integers())
)


def there_and_back(found):
    return read_found(type(found), json.loads(encode_found(found)))


@given(st.builds(Completions, st.integers(), st.integers(), st.lists(completions).map(tuple)))
def test_completions_come_back_as_they_were(found):
    assert there_and_back(found) == found


@given(st.builds(Page, st.text(), st.integers(), st.integers(), st.lists(variables).map(tuple)))
def test_pages_come_back_as_they_were(found):
    assert there_and_back(found) == found


def test_cells_come_back_as_they_were():
    cells = Cells("x", 2, 1, 0, 0, ("0", "1"), ("value",), (("a",), ("b",)))
    assert there_and_back(cells) == cells


def test_several_things_at_once_are_a_list():
    assert json.loads(encode_found([Completion("a", "key")])) == [{"text": "a", "kind": "key", "origin": "live"}]
    assert json.loads(encode_found(None)) is None


def test_what_only_a_newer_worker_tells_is_left_out():
    assert read_found(Signature, {"name": "f", "text": "()", "invented": 1}) == Signature("f", "()")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_found_cannot_be_changed(kind):
    found = kind(**{each.name: "x" for each in dataclasses.fields(kind)})
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(found, dataclasses.fields(kind)[0].name, "y")
    assert kind.__doc__
