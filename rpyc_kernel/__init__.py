"""One shared, lasting Python interpreter: start it, use it from many places, leave it, find it again.

    >>> import rpyc_kernel
    >>> with rpyc_kernel.start("demo") as kernel:  # doctest: +SKIP
    ...     kernel.execute("x = 6 * 7; x").value
    42

The names are imported when they are first used: hub and worker are processes of this package too, and must not load
the client.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpyc_kernel.client.attaching import attach
    from rpyc_kernel.client.debugger import Debugger
    from rpyc_kernel.client.execution import Execution, Interruption
    from rpyc_kernel.client.invitation import Invitation
    from rpyc_kernel.client.kernel import KernelClient, Past
    from rpyc_kernel.client.launch import KernelInfo, connect, kernels, start
    from rpyc_kernel.client.lazy import Lazy, LazyNames
    from rpyc_kernel.client.namespace import Namespace
    from rpyc_kernel.core.contract import Event
    from rpyc_kernel.errors import (
        AuthenticationFailed,
        BadCode,
        BadName,
        CallTimeout,
        CertificateChanged,
        ChainFailed,
        ConnectionFailed,
        ConnectionLost,
        ExecutionDropped,
        ExecutionError,
        ExecutionInterrupted,
        GroupFailed,
        KernelDied,
        KernelError,
        KernelExists,
        NoSuchExecution,
        NoSuchKernel,
        NotAsked,
        NotAvailable,
        NotPermitted,
        NotPlain,
        NotQueued,
        NotRunning,
        RequestError,
        VersionMismatch,
        WorkerBusy,
    )
    from rpyc_kernel.fleets.fleet import Fleet
    from rpyc_kernel.fleets.opening import fleet
    from rpyc_kernel.fleets.placing import Move
    from rpyc_kernel.groups.execution import GroupExecution
    from rpyc_kernel.groups.group import Group
    from rpyc_kernel.groups.namespace import GroupNamespace
    from rpyc_kernel.groups.opening import group
    from rpyc_kernel.worker.embedded_kernel import EmbeddedKernel
    from rpyc_kernel.worker.embedding import embed

__all__ = [
    "AuthenticationFailed",
    "BadCode",
    "BadName",
    "CallTimeout",
    "CertificateChanged",
    "ChainFailed",
    "ConnectionFailed",
    "ConnectionLost",
    "Debugger",
    "EmbeddedKernel",
    "Event",
    "Execution",
    "ExecutionDropped",
    "ExecutionError",
    "ExecutionInterrupted",
    "Fleet",
    "Group",
    "GroupExecution",
    "GroupFailed",
    "GroupNamespace",
    "Interruption",
    "Invitation",
    "KernelClient",
    "KernelDied",
    "KernelError",
    "KernelExists",
    "KernelInfo",
    "Lazy",
    "LazyNames",
    "Move",
    "Namespace",
    "NoSuchExecution",
    "NoSuchKernel",
    "NotAsked",
    "NotAvailable",
    "NotPermitted",
    "NotPlain",
    "NotQueued",
    "NotRunning",
    "Past",
    "RequestError",
    "VersionMismatch",
    "WorkerBusy",
    "attach",
    "connect",
    "embed",
    "fleet",
    "group",
    "kernels",
    "start",
]  # fmt: skip

_HOMES = {
    "rpyc_kernel.client.attaching": ("attach",),
    "rpyc_kernel.client.debugger": ("Debugger",),
    "rpyc_kernel.client.execution": ("Execution", "Interruption"),
    "rpyc_kernel.client.invitation": ("Invitation",),
    "rpyc_kernel.client.kernel": ("KernelClient", "Past"),
    "rpyc_kernel.client.launch": ("KernelInfo", "connect", "kernels", "start"),
    "rpyc_kernel.client.lazy": ("Lazy", "LazyNames"),
    "rpyc_kernel.client.namespace": ("Namespace",),
    "rpyc_kernel.core.contract": ("Event",),
    "rpyc_kernel.faces.groups.magics": ("load_ipython_extension",),  # what `%load_ext rpyc_kernel` calls
    "rpyc_kernel.fleets.fleet": ("Fleet",),
    "rpyc_kernel.fleets.opening": ("fleet",),
    "rpyc_kernel.fleets.placing": ("Move",),
    "rpyc_kernel.groups.execution": ("GroupExecution",),
    "rpyc_kernel.groups.group": ("Group",),
    "rpyc_kernel.groups.namespace": ("GroupNamespace",),
    "rpyc_kernel.groups.opening": ("group",),
    "rpyc_kernel.worker.embedded_kernel": ("EmbeddedKernel",),
    "rpyc_kernel.worker.embedding": ("embed",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from rpyc_kernel.core.contract import RELEASE

        return RELEASE
    if name not in __all__ and name not in _HOME_OF:
        raise AttributeError(f"module 'rpyc_kernel' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF.get(name, "rpyc_kernel.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
