"""What the editor can call back: code of this kernel's journal, and before it that of the user's other kernels.

Of those that run the kernel is asked, of those that are stopped the journal is read.
"""

from __future__ import annotations

import contextlib

from rpyc_kernel.client import launch
from rpyc_kernel.client.archive import recall_stopped
from rpyc_kernel.client.kernel import KernelClient, Past
from rpyc_kernel.errors import KernelError

_MAX_OWN = 500
_MAX_OTHER = 100
_MAX_KERNELS = 8
_TIMEOUT_S = 0.5


def recall(kernel: KernelClient) -> list[Past]:
    """All there is to call back, what is nearest last. Kernels that do not answer at once are left out."""
    others: list[Past] = []
    own: list[Past] = []
    present = launch.kernels()
    running = [info for info in present if info.state == "running" and info.name != kernel.name]
    others += recall_stopped({kernel.name, *(info.name for info in present)}, limit=_MAX_OTHER)
    for info in sorted(running, key=lambda info: info.started)[-_MAX_KERNELS:]:
        with contextlib.suppress(KernelError), launch.connect(info.name, joins=False, timeout=_TIMEOUT_S) as other:
            others += other.history(limit=_MAX_OTHER)
    with contextlib.suppress(KernelError):
        own = kernel.history(limit=_MAX_OWN)
    return [*sorted(others, key=lambda past: past.time), *own]
