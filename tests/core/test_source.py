"""What a request may say of where its code comes from, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.contract import Space, freeze
from rpyc_kernel.core.source import Origin, Program, describe_source, read_source
from rpyc_kernel.errors import RequestError

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
arguments = st.lists(texts, max_size=3).map(tuple)
spaces = st.sampled_from([Space.CURRENT, Space.FRESH])
sources = (
    st.none()
    | st.builds(Origin, texts, st.integers(1, 10_000))
    | st.builds(Program, texts, arguments, st.none() | texts, spaces)
)


@given(sources)
def test_a_source_survives_the_wire_and_the_journal(source):
    described = describe_source(source)
    assert read_source(freeze(described)) == source
    assert read_source(json.loads(json.dumps(described))) == source


@pytest.mark.parametrize("nothing", [None, (), {}])
def test_code_that_was_typed_has_no_source(nothing):
    assert read_source(nothing) is None


@pytest.mark.parametrize(
    "told",
    [
        {"file": ""},
        {"file": 3},
        {"file": "a\0b"},
        {"file": "\ud800"},
        {"file": "x" * 5_000_000},
        {"file": "a.py", "first_line": 0},
        {"file": "a.py", "first_line": "1"},
        {"file": "a.py", "first_line": True},
        {"file": "a.py", "first_line": 10**9},
        {"file": "a.py", "arguments": ()},
        {"file": "a.py", "path": "a.py"},
        {"path": ""},
        {"path": "a.py", "arguments": "abc"},
        {"path": "a.py", "arguments": [3]},
        {"path": "a.py", "arguments": ["x" * 3_000_000] * 2},
        {"path": "a.py", "cwd": 3},
        {"path": "a.py", "namespace": "mine"},
        {"path": "a.py", "namespace": ["current"]},
        {"file": "a.py", "unknown": 1},
        {"arguments": 5},
        {"first_line": 1},
        3,
        "text",
        (("file",),),
    ],
    ids=lambda told: str(told)[:40],
)
def test_what_is_no_source_is_refused(told):
    with pytest.raises(RequestError):
        read_source(told)
