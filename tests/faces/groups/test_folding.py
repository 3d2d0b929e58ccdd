"""What is equal in many kernels is told once."""

from __future__ import annotations

from rpyc_kernel.faces.groups.folding import fold, tell_failures


def test_each_text_is_told_once_in_the_order_of_the_first_who_has_it() -> None:
    assert fold({"b": "2", "a": "1", "c": "2"}) == [(["b", "c"], "2"), (["a"], "1")]
    assert fold({}) == []


def test_failures_are_told_by_their_reasons() -> None:
    reasons = {"t-0": "no", "t-1": "no", "t-3": "lost", "t-2": "no"}
    assert tell_failures(reasons, 8) == "4 of 8 did not end well: t-{0..2} (no); t-3 (lost)"
