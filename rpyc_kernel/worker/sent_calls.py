"""What an execution calls that is no code: its text is the call itself, or the token of one that was left before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import SENT_CALL
from rpyc_kernel.worker.comms import Comms
from rpyc_kernel.worker.staged_calls import StagedCalls


def take_call(comms: Comms, staged: StagedCalls, namespace: dict[str, Any], text: str) -> Callable[[], Any]:
    """The call that a text stands for, of whatever kind.

    Raises:
        NotAvailable: it is a token, and its call is not here.
        Exception: what it raises to be opened.
    """
    return comms.find_call(text) or find_call(text, namespace) or staged.take(text)


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
