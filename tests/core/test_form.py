"""What a request may say about its code, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.contract import Space, freeze
from rpyc_kernel.core.form import Form, form_of
from rpyc_kernel.errors import RequestError

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
forms = st.builds(
    Form,
    texts,
    st.integers(1, 10_000),
    st.none() | st.lists(texts, max_size=3).map(tuple),
    st.none() | texts,
    st.sampled_from([Space.CURRENT, Space.FRESH]),
)


@given(forms)
def test_a_form_survives_the_wire_and_the_journal(form):
    assert Form.read(freeze(form.as_dict())) == form
    assert Form.read(json.loads(json.dumps(form.as_dict()))) == form


@pytest.mark.parametrize("nothing", [None, (), {}])
def test_nothing_is_no_form(nothing):
    assert Form.read(nothing) is None


def test_executions_of_an_older_journal_have_none():
    assert form_of({"code": "1"}) is None


def test_a_file_with_arguments_is_a_program():
    assert Form("a.py", arguments=()).is_program
    assert not Form("a.py").is_program


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
        {"file": "a.py", "arguments": "abc"},
        {"file": "a.py", "arguments": [3]},
        {"file": "a.py", "cwd": 3},
        {"file": "a.py", "namespace": "mine"},
        {"file": "a.py", "unknown": 1},
        {"first_line": 1},
        3,
        "text",
        (("file",),),
    ],
    ids=lambda told: str(told)[:40],
)
def test_what_is_no_form_is_refused(told):
    with pytest.raises(RequestError):
        Form.read(told)
