"""What each side of a connection lets the other do, as RPyC configurations.

``callers_read`` is not RPyC's. Where it is true, the side mostly asks, and its threads read their replies themselves.
Else it mostly answers, and its requests thread reads without waiting twice for the interpreter lock. Nor is
``keeps_traceback``: whether the connection keeps that of the last exception that a request raised, for classic RPyC's
``pm``, and with it all that its frames refer to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

CLIENT_CONFIG: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "allow_all_attrs": False,
        "allow_public_attrs": False,
        "allow_safe_attrs": False,
        "allow_setattr": False,
        "allow_delattr": False,
        "allow_pickle": False,
        "import_custom_exceptions": False,
        "instantiate_custom_exceptions": False,
        "instantiate_oldstyle_exceptions": False,
        "include_local_traceback": False,
        "propagate_SystemExit_locally": False,
        "propagate_KeyboardInterrupt_locally": False,
        "callers_read": True,
    }
)
"""For the side that uses objects: the peer can call what it was handed, and what `plain_objects` says."""

WORKER_CONFIG: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "allow_all_attrs": True,
        "allow_public_attrs": True,
        "allow_exposed_attrs": False,
        "allow_getattr": True,
        "allow_setattr": True,
        "allow_delattr": True,
        "allow_pickle": True,
        "import_custom_exceptions": True,
        "instantiate_custom_exceptions": True,
        "instantiate_oldstyle_exceptions": False,
        "include_local_traceback": True,
        "propagate_SystemExit_locally": False,
        "propagate_KeyboardInterrupt_locally": False,
        "callers_read": False,
    }
)
"""For the side that owns the objects: the peer may do to them whatever Python can."""

STOCK_CONFIG: Final[Mapping[str, Any]] = MappingProxyType({**WORKER_CONFIG, "keeps_traceback": True})
"""For the side that owns the objects, where the peer is a stock client, with all that classic RPyC does."""
