"""Calls that came with their executions, to be made on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import SENT_CALL


def find_call(token: str, namespace: dict[str, Any]) -> Callable[[], Any] | None:
    """The call that this text is, with no frame of ours above what it calls; None where it is the token of another one.

    Raises:
        RequestError: the text is none.
        Exception: whatever it is that a pickle raises where it is opened.
    """
    if not token.startswith(SENT_CALL):
        return None
    from rpyc_kernel.wire.bulk.sent_calls import read_call  # with its pickle, only loaded for a call
    from rpyc_kernel.worker.functions import load, make_call

    head, data, buffers = read_call(token)
    opened = load(data, buffers, namespace, head.get("python"))
    return make_call(opened, head.get("source"), namespace, is_map=head.get("is_map") is True)
