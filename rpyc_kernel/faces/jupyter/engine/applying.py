"""Functions that ipyparallel's clients send: called in the kernel, in their turn, by ipyparallel's own serialization.

They come as buffers that only ipyparallel can open, and so does what they return: it has to be installed where the
kernel runs. Nothing is opened here.
"""

from __future__ import annotations

import pickletools
from collections.abc import Sequence
from contextlib import AbstractContextManager

from rpyc_kernel.client.course import staged_call
from rpyc_kernel.client.kernel import KernelClient

_KEEPER = "_rpyc_kernel_engine"
_BEHIND_CODE = "defaults"
_MAX_NAME_CHARS = 100

_SOURCE = f"""\
def apply(key, *buffers):
    import sys, types
    from ipyparallel.serialize import serialize_object, unpack_apply_message
    function, arguments, keywords = unpack_apply_message(buffers, globals(), copy=False)
    returned = serialize_object(function(*arguments, **keywords))
    kept = sys.modules.setdefault({_KEEPER!r}, types.SimpleNamespace())
    vars(kept)[key] = [bytes(buffer) for buffer in returned]
"""
"""What the kernel calls. What is returned is kept there until it is fetched, and is no value of an input."""


def stage(kernel: KernelClient, key: str, buffers: Sequence[bytes]) -> AbstractContextManager[str]:
    """Have a call kept for the kernel's queue, under this token, for as long as it is handed in or for good."""
    return staged_call(kernel, "apply", (key, *buffers), source=_SOURCE)


def fetch(kernel: KernelClient, key: str) -> list[bytes]:
    """Fetch what a call has returned, once."""
    fetched: list[bytes] = kernel.pull(f"vars(__import__('sys').modules[{_KEEPER!r}]).pop({key!r})")
    return fetched


def describe(buffers: Sequence[bytes]) -> str:
    """What others see of a call: the function's name, where the pickle of it says one."""
    return f"# ipyparallel: {(_find_name(buffers[0]) if buffers else '') or 'a function'}"


def _find_name(pickled: bytes) -> str:
    """The name of the function in a pickle, which is read and not opened."""
    try:
        texts = [text for _, text, _ in pickletools.genops(pickled) if isinstance(text, str)]
    except Exception:  # noqa: BLE001 - anybody can send anything; whoever opens it says what is wrong
        return ""
    # Of a function that came by value, its code is followed by its defaults; of any other, there is its name alone.
    name = texts[texts.index(_BEHIND_CODE) - 1] if _BEHIND_CODE in texts[1:] else texts[-1] if texts else ""
    name = name.rpartition(".")[2]  # the code of newer Pythons also says inside of what it was defined
    return name if name.isprintable() and len(name) <= _MAX_NAME_CHARS else ""
