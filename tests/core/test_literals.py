"""Plain values are written as literals, and nothing else is."""

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.literals import write_literal
from rpyc_kernel.errors import RequestError

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
values = st.recursive(
    atoms | st.sets(atoms.filter(lambda atom: atom is not None), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(atoms, inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_a_literal_reads_back_as_the_value(value):
    back = ast.literal_eval(write_literal(value))
    assert (back, type(back)) == (value, type(value))


class Text(str):
    """A string that says something else of itself."""

    __slots__ = ()

    def __repr__(self):
        return "__import__('os')"


@pytest.mark.parametrize(
    "value", [object(), Text("x"), [Text("x")], {1: object()}, math.nan, math.inf, len, range(3), bytearray(b"x")]
)
def test_what_has_no_literal_is_refused(value):
    with pytest.raises(RequestError):
        write_literal(value)


def test_what_contains_itself_is_refused():
    circle = []
    circle.append(circle)
    with pytest.raises(RequestError, match="nested"):
        write_literal(circle)
