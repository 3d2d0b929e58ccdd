"""How many descriptors a process may have."""

from __future__ import annotations

import resource

_MANY = 1_000_000


def max_descriptors() -> int:
    """The limit of this process, a million where there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MANY if soft == resource.RLIM_INFINITY else min(soft, _MANY)
