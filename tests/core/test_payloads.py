"""What is recorded is JSON that everybody can read."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.payloads import MAX_DEPTH, encode_payload, load_payload

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner),
    max_leaves=20,
)


def load_strictly(text):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_whatever_is_recorded_becomes_json(payload):
    assert load_strictly(encode_payload(payload)).keys() == payload.keys()


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (math.nan, None),
        (-math.inf, None),
        ([1.5, {"y": math.inf}], [1.5, {"y": None}]),
        (10**5000, hex(10**5000)),
    ],
    ids=["nan", "infinity", "nested", "long"],
)
def test_what_json_cannot_carry_becomes_null_or_text(value, becomes):
    assert load_strictly(encode_payload({"value": value, "text": "ä\ud800"})) == {"value": becomes, "text": "ä\ud800"}


def nest(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 3000])
def test_what_is_nested_too_deeply_for_readers_is_cut(depth):
    text = encode_payload({"data": nest(depth), "text": "whole"})
    assert text.count("[") <= MAX_DEPTH + 1
    assert load_strictly(text)["text"] == "whole"


def test_what_has_many_parts_and_little_depth_is_kept_as_it_is():
    payload = {"data": [[number] for number in range(1000)]}
    assert json.loads(encode_payload(payload)) == payload


@pytest.mark.parametrize("value", [b"x", {1}, [math.nan, b"x"]], ids=str)
def test_what_is_nothing_to_json_is_refused(value):
    with pytest.raises(TypeError):
        encode_payload({"value": value})


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", None, b"{}", "[" * 100_000])
def test_what_is_no_payload_is_none(text):
    assert load_payload(text) is None
