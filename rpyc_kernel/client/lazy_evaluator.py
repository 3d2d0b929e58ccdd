"""Lazy values of a connected client: what has been recorded is done by its worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpyc_kernel.client.bulk import Bulk
from rpyc_kernel.client.chains import Chain
from rpyc_kernel.errors import ExecutionError


class LiveEvaluator:
    """Has chains done by the connection of live objects, and copies come by that of large values.

    Args:
        ask: calls a method of the worker's root, as `LiveObjects.ask` does.
        bulk: the connections of large values.
    """

    def __init__(self, ask: Callable[..., Any], bulk: Bulk) -> None:
        self._ask = ask
        self._bulk = bulk

    def get(self, chain: Chain, *, timeout: float | None) -> Any:
        """Return the value, if it is immutable and plain, else a netref of it."""
        return self._run(chain, False, timeout)

    def netref(self, chain: Chain, *, timeout: float | None) -> Any:
        """Return a netref of the value, whatever it is."""
        return self._run(chain, True, timeout)

    def _run(self, chain: Chain, is_proxy: bool, timeout_s: float | None) -> Any:
        place, answer = self._ask(None, "run_chain", *chain.compile(), is_proxy, timeout_s=timeout_s)
        if place is None:
            return answer
        name, message, traceback, notes = answer
        error = ExecutionError(str(name), str(message), str(traceback))
        error.__notes__ = [str(note) for note in notes]
        raise chain.explain(place, error)

    def pull(
        self,
        chain: Chain,
        *,
        timeout: float | None,
        progress: Callable[[int, int], None] | None,
        allow_pickle: bool,
        max_bytes: int | None,
    ) -> Any:
        """Return a copy of the value."""
        steps, objects = chain.compile()
        # References pass the connection of live objects only: the chain is left there, and asked for from here.
        call = self._ask(None, "stage_chain", steps, objects) if objects else None
        return self._bulk.pull(chain, timeout, progress, allow_pickle=allow_pickle, max_bytes=max_bytes, call=call)
