"""What the kept encoder writes is what `json` writes, and what is read is what it reads."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.core.json_text import make_decoder, make_encoder

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none() | st.floats(), inner, max_size=3)
    ),
    max_leaves=8,
)
ODD = [math.nan, math.inf, -math.inf, -0.0, 1e-323, 1e22, 0.1 + 0.2, 2**70, "\ud800", "\0\x7f\u2028😀", '"\\', True, ""]


@given(values)
def test_the_same_is_written_as_json_writes(value):
    assert make_encoder(json)(value) == json.dumps(value, separators=(",", ":"))
    whole = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    assert make_encoder(json, ensure_ascii=False)(value) == whole


@pytest.mark.parametrize("outcome", [value for name, value in vars(Outcome).items() if name.isupper()])
@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_of_every_end_the_same_is_written_as_json_writes(outcome, odd):
    event = ["finished", {"outcome": outcome, "duration_s": odd}]
    assert make_encoder(json, default=str)(event) == json.dumps(event, separators=(",", ":"))


def test_what_json_has_not_is_made_into_something_else():
    assert make_encoder(json, default=str)([{1}, object]) == """["{1}","<class 'object'>"]"""
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        make_encoder(json)([{1}])


def test_numbers_that_json_has_not_are_refused_where_that_is_wanted():
    with pytest.raises(ValueError, match="not JSON compliant"):
        make_encoder(json, allow_nan=False)([math.nan])


def test_a_circle_ends():
    circle = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        make_encoder(json)(circle)


def test_a_python_without_the_encoder_in_c_writes_the_same(monkeypatch):
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    event = ["finished", {"outcome": "ok", "duration_s": 0.25}]
    assert make_encoder(json)(event) == '["finished",{"outcome":"ok","duration_s":0.25}]'


@given(values)
def test_the_same_is_read_as_json_reads(value):
    text = json.dumps(value)
    assert repr(make_decoder(json)(text)) == repr(json.loads(text))


@pytest.mark.parametrize(
    "text", [" 1", "1 ", "\n[1]\t", "", " ", "1 2", "[1", "[1] x", "{", "nul", "\ufeff1", "NaN", "'a'"]
)
def test_what_is_around_a_value_is_borne_or_refused_as_json_does(text):
    decode = make_decoder(json)
    try:
        expected = json.JSONDecoder().decode(text)
    except ValueError as refused:
        with pytest.raises(type(refused), match=f"^{re.escape(str(refused))}$"):
            decode(text)
    else:
        assert repr(decode(text)) == repr(expected)
