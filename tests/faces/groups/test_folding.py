"""What is equal in many kernels is told once; many names take few words."""

from __future__ import annotations

import pytest

from rpyc_kernel.faces.groups.folding import fold, name_all
from rpyc_kernel.groups.targets import expand


def test_each_text_is_told_once_in_the_order_of_the_first_who_has_it() -> None:
    assert fold({"b": "2", "a": "1", "c": "2"}) == [(["b", "c"], "2"), (["a"], "1")]
    assert fold({}) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b"], "a, b"),
        (["t-1", "t-2"], "t-1, t-2"),
        (["t-1", "t-2", "t-3", "web", "t-9"], "t-{1..3}, web, t-9"),
        (["t-8", "t-9", "t-10"], "t-{8..10}"),
        (["t-08", "t-09", "t-10", "t-11"], "t-{08..11}"),
        (["t-8", "t-09", "t-10"], "t-8, t-09, t-10"),
        (["ssh://gpu1/x", "ssh://gpu2/x", "ssh://gpu3/x", "ssh://gpu4/y"], "ssh://gpu{1..3}/x, ssh://gpu4/y"),
        (["1", "2", "3"], "{1..3}"),
    ],
)
def test_names_that_differ_by_a_number_are_told_as_a_pattern_that_means_them(names: list[str], told: str) -> None:
    assert name_all(names) == told
    assert expand(told.split(", "), list) == names
