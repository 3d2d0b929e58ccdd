"""What is equal in many kernels is told once."""

from __future__ import annotations

from rpyc_kernel.faces.groups.folding import tell_failures


def test_failures_are_told_by_their_reasons() -> None:
    gone = {name: f"kernel {name!r} is gone" for name in ("t-3", "t-4")}
    reasons = {"t-0": "no <In 3>", "t-1": "no <In 4>", **gone, "t-2": "no <In 3>"}
    assert tell_failures(reasons, 8) == "5 of 8 did not end well: t-{0..2} (no <In>); t-{3..4} (it is gone)"
