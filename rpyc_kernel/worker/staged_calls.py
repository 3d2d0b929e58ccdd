"""Calls that clients have handed in and that wait for their turn in the queue, to be made on the main thread."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import CALL_IS_GONE
from rpyc_kernel.errors import NotAvailable


class StagedCalls:
    """Such calls, by token."""

    def __init__(self) -> None:
        self._calls: dict[str, Callable[[], Any]] = {}
        self._numbers = itertools.count(1)
        # Of another generation's call, none of this one may have the token.
        self._whose = os.urandom(4).hex()

    def add(self, call: Callable[[], Any]) -> str:
        """Keep a call; returns its token."""
        token = f"call-{self._whose}-{next(self._numbers)}"
        self._calls[token] = call
        return token

    def take(self, token: str) -> Callable[[], Any]:
        """Hand a call out, once; raises `NotAvailable` where there is none of that token."""
        try:
            return self._calls.pop(token)
        except KeyError:
            raise NotAvailable(f"{CALL_IS_GONE}; hand it in again") from None

    def drop(self, token: str) -> None:
        """Forget a call that will not be made, if it is still there."""
        self._calls.pop(token, None)
