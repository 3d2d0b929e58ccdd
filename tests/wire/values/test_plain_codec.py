"""The encoding of plain values is brine's, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine

from rpyc_kernel.wire.values import plain_codec

SINGLE = st.one_of(
    st.none(),
    st.booleans(),
    st.just(...),
    st.just(NotImplemented),
    st.integers(-(10**40), 10**40),
    st.integers(-60, 170),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.binary(max_size=300),
    st.text(max_size=300),
)
VALUES = st.recursive(
    SINGLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6).map(tuple),
        st.frozensets(SINGLE, max_size=3),
        st.builds(slice, inner, inner, inner),
    ),
)


@given(VALUES)
def test_values_are_encoded_and_decoded_as_brine_does_it(value):
    encoded = brine.dump(value)
    assert plain_codec.dump(value) == encoded
    assert plain_codec.load(b"before" + encoded, len(b"before")) == brine.load(encoded)


@pytest.mark.parametrize("value", [(1,) * 255, (1,) * 256, b"x" * 255, "x" * 256, 10**255, 10**256, (), ""])
def test_so_are_those_at_the_edge_of_a_size(value):
    assert plain_codec.dump(value) == brine.dump(value)
    assert plain_codec.load(plain_codec.dump(value)) == value


@pytest.mark.parametrize("value", [[], {}, object(), (1).real.__add__, type("Int", (int,), {})(1), (1, [2]), {1}])
def test_what_is_no_plain_value_is_refused(value):
    with pytest.raises(TypeError, match="is no plain value"):
        plain_codec.dump(value)


def test_a_lone_surrogate_is_refused():
    with pytest.raises(UnicodeEncodeError):
        plain_codec.dump("\ud800")


@given(VALUES, st.integers(0, 20))
def test_what_is_cut_short_is_an_error_and_never_another_value(value, count):
    encoded = plain_codec.dump((value, b"the end, longer than what is cut"))
    with pytest.raises(Exception):  # noqa: B017 - of any kind, as documented
        plain_codec.load(encoded[: len(encoded) - 1 - count])


def test_a_text_is_made_of_bytes_and_never_of_another_value():
    for tag in {*range(256)} - {0x01, *range(0x0A, 0x10)}:
        data = b"\x15\xff\xff\xff\xff" + bytes((0x08, tag)) * 20  # which says that it has very many members
        with pytest.raises(ValueError, match="no text"):
            plain_codec.load(data)


@given(st.binary(max_size=60))
def test_no_bytes_do_anything_but_fail_or_make_a_value(data):
    try:
        plain_codec.load(data)
    except Exception:  # noqa: BLE001 - of any kind, as documented
        return
