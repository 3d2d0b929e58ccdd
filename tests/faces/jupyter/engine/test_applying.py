"""What others see of a function that a client of ipyparallel sends."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from ipyparallel import serialize

from rpyc_kernel.faces.jupyter.engine.applying import describe


def _double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize(
    ("function", "name"), [(_double, "_double"), (lambda: None, "<lambda>"), (len, "len"), (pickle.dumps, "dumps")]
)
def test_a_function_is_known_by_its_name(function: Callable[..., Any], name: str) -> None:
    assert describe(serialize.pack_apply_message(function, (), {})) == f"# ipyparallel: {name}"


@pytest.mark.parametrize("buffers", [[], [b""], [b"no pickle"], [pickle.dumps("\n")]])
def test_what_has_no_name_is_a_function_all_the_same(buffers: list[bytes]) -> None:
    assert describe(buffers) == "# ipyparallel: a function"
