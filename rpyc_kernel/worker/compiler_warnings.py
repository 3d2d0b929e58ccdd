"""The compiler's warnings, kept from showing where the kernel only looks at code.

`warnings.catch_warnings` is for programs of one thread: it puts back what stood there before, also what user code has
set meanwhile in another thread, or has not yet put back itself. So the filters stay whose they are, and one is added
that is for nothing but what is compiled here.
"""

from __future__ import annotations

import codeop
import contextlib
import importlib.util
import re
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

_FILE: Final = "<looked at by rpyc_kernel>"
_FILTER: Final = ("ignore", None, Warning, re.compile(re.escape(_FILE)), 0)


@contextlib.contextmanager
def unheard() -> Iterator[str]:
    """Have no warning come of code that is compiled under the file name that this yields.

    Where user code copies the filters meanwhile, the copy keeps one that matches nothing of the user's.
    """
    filters: Any = warnings.filters
    filters.insert(0, _FILTER)
    try:
        yield _FILE
    finally:
        both: tuple[Any, Any] = (filters, warnings.filters)
        for each in both:
            with contextlib.suppress(ValueError):
                each.remove(_FILTER)


def load_codeop() -> Callable[[str, str, str], Any]:
    """`codeop.compile_command` of a module of its own, which leaves the filters to `unheard`."""
    assert codeop.__spec__ is not None
    own = importlib.util.module_from_spec(codeop.__spec__)
    assert codeop.__spec__.loader is not None
    codeop.__spec__.loader.exec_module(own)
    vars(own)["warnings"] = types.SimpleNamespace(catch_warnings=contextlib.nullcontext, simplefilter=lambda *_: None)
    compile_command: Callable[[str, str, str], Any] = own.compile_command
    return compile_command
