"""Rich output beside the value of the last expression: shown, updated in place, cleared.

`display`, `update_display` and `clear_output` are what user code calls, as in IPython, where they are taken from where
it is there.
"""

from __future__ import annotations

import builtins
import os
import re
from typing import Any

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.worker.bundles import clean_bundle, make_bundle
from rpyc_kernel.worker.capture import printing_execution
from rpyc_kernel.worker.engine import Emit

_COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Displays:
    """Publishes rich output under the execution that calls."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit

    def publish(self, data: Any, metadata: Any = None, *, display_id: Any = None, is_update: bool = False) -> None:
        """Show a MIME bundle, or replace what was shown under the same id; an empty one keeps a place."""
        cleaned, about = clean_bundle(data, metadata)
        if cleaned or (not data and display_id is not None):
            self.show(cleaned, about, display_id=display_id, is_update=is_update)

    def show(self, data: dict[str, Any], metadata: dict[str, Any], *, display_id: Any, is_update: bool) -> None:
        """The same for a bundle that is known to be in order."""
        payload = {
            "data": data,
            "metadata": metadata,
            "display_id": None if display_id is None else str(display_id),
            "is_update": bool(is_update),
        }
        self._emit(Kind.DISPLAY, printing_execution(), payload)

    def publish_as_result(self, data: Any, metadata: Any = None, *, display_id: Any = None) -> None:
        """Show a MIME bundle as values are shown; to those who ask for a value it is None."""
        cleaned, about = clean_bundle(data, metadata)
        if cleaned:
            payload = {"data": cleaned, "metadata": about, "literal": "None"}
            named = {} if display_id is None else {"display_id": str(display_id)}
            self._emit(Kind.RESULT, printing_execution(), {**payload, **named})

    def clear(self, wait: bool = False) -> None:
        """Clear what the execution has shown, at once or when it shows something new."""
        self._emit(Kind.CLEAR_OUTPUT, printing_execution(), {"wait": bool(wait)})

    def page(self, data: Any) -> None:
        """Show a text, or a MIME bundle, to be read at leisure."""
        cleaned, _ = clean_bundle(data if isinstance(data, dict) else {"text/plain": data})
        if cleaned:
            coloured = cleaned.get("text/plain")
            if coloured is not None:
                cleaned["text/plain"] = _COLOUR.sub("", coloured)
            self._emit(Kind.PAGE, printing_execution(), {"data": cleaned, "rich": coloured})

    def propose(self, text: str, replace: bool = False, *, is_further: bool = False) -> None:
        """Propose what to run next, instead of what was proposed before or beside it."""
        beside = {"is_further": True} if is_further else {}
        self._emit(Kind.NEXT_INPUT, printing_execution(), {"text": str(text), "replace": bool(replace), **beside})

    # ------------------------------------------------------------------ what user code calls

    def install(self) -> None:
        """Give user code its functions, as builtins."""
        add_builtins(display=self.display, update_display=self.update_display, clear_output=self.clear)

    def display(
        self,
        *values: Any,
        include: Any = None,
        exclude: Any = None,
        metadata: dict[str, Any] | None = None,
        display_id: Any = None,
        raw: bool = False,
        clear: bool = False,
        update: bool = False,
    ) -> DisplayHandle | None:
        """Show values in all their representations.

        Args:
            values: what to show; with an id and none, a place is kept for what the handle shows later.
            include: the only MIME types to show.
            exclude: MIME types not to show.
            metadata: by MIME type, for whoever shows it.
            display_id: a name under which it can be updated; True makes one.
            raw: the values are MIME bundles.
            clear: clear what was shown before.
            update: replace what was shown under the id.

        Returns:
            The handle to update it by, if it has an id.
        """
        if display_id is True:
            display_id = os.urandom(16).hex()
        if clear:
            self.clear(wait=True)
        if not values and display_id is not None:
            self.show({}, {}, display_id=display_id, is_update=update)
        for value in values:
            data, about = clean_bundle(value) if raw else make_bundle(value, include, exclude)
            about.update(clean_bundle({}, metadata)[1])
            if data:
                self.show(data, about, display_id=display_id, is_update=update)
        return None if display_id is None else DisplayHandle(self, str(display_id))

    def update_display(self, value: Any, *, display_id: Any, **options: Any) -> None:
        """Replace what is shown under an id; ``options`` are those of `display`."""
        self.display(value, display_id=display_id, update=True, **options)


class DisplayHandle:
    """Something displayed that can be changed."""

    def __init__(self, displays: Displays, display_id: str) -> None:
        self._displays = displays
        self.display_id = display_id

    def display(self, value: Any, **options: Any) -> None:
        """Display something under the same id once more."""
        self._displays.display(value, display_id=self.display_id, **options)

    def update(self, value: Any, **options: Any) -> None:
        """Replace what is shown."""
        self._displays.update_display(value, display_id=self.display_id, **options)


def add_builtins(**functions: Any) -> None:
    """Make names known to all user code, also in modules and threads, without putting them into its namespace."""
    vars(builtins).update(functions)
