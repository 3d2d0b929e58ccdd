"""Many names said shortly: the patterns stand for these names and no others."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.groups.labels import describe, shorten

pieces = st.sampled_from(["a", "gpu", "-", "/", ".", "0", "1", "2", "3", "8", "9", "10", "11", "07", "08", "09", "010"])
names = st.lists(st.lists(pieces, min_size=1, max_size=5).map("".join), max_size=40)


def expanded(pattern):
    """As a shell does."""
    parts = re.split(r"\{(\w+)\.\.(\w+)\}", pattern)
    choices = [[part] for part in parts[::3]]
    for index, (first, last) in enumerate(zip(parts[1::3], parts[2::3], strict=True)):
        width = len(first) if first.startswith("0") else 0
        numbers = [str(number).zfill(width) for number in range(int(first), int(last) + 1)]
        choices.insert(2 * index + 1, numbers)
    return ["".join(choice) for choice in itertools.product(*choices)]


@given(names)
def test_the_patterns_stand_for_each_name_once_and_for_no_other(names):
    assert sorted(itertools.chain.from_iterable(map(expanded, shorten(names)))) == sorted(set(names))


def test_ranges_are_as_long_as_can_be():
    ranks = [f"train-{rank}" for rank in range(64) if rank != 31]
    assert shorten(ranks) == ["train-{0..30}", "train-{32..63}"]
    assert shorten(["n09", "n08", "n10", "n7"]) == ["n7", "n{08..10}"]
    assert shorten([f"ssh://gpu{host}/t{rank}" for host in (1, 2) for rank in (0, 1, 2)]) == ["ssh://gpu{1..2}/t{0..2}"]


def test_what_is_too_long_for_a_line_says_that_there_is_more():
    assert describe([f"k{number}" for number in range(0, 20, 2)]) == "k0 k2 k4 k6 k8 k10 … (4 more such)"
    assert describe([f"k{number}" for number in range(0, 14, 2)]) == "k0 k2 k4 k6 k8 k10 k12"
