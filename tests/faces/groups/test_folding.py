"""What is equal in many kernels is told once."""

from __future__ import annotations

from rpyc_kernel.faces.groups.folding import tell_failures


def test_failures_are_told_by_their_reasons() -> None:
    reasons = {"t-0": "no", "t-1": "no", "t-3": "kernel 't-3' is gone", "t-2": "no", "t-4": "kernel 't-4' is gone"}
    assert tell_failures(reasons, 8) == "5 of 8 did not end well: t-{0..2} (no); t-{3..4} (it is gone)"
