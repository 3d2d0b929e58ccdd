"""What code was run, for tracebacks and debuggers: `linecache` holds it under the name that frames have."""

from __future__ import annotations

import io
import linecache
import re
import sys
from collections import OrderedDict
from typing import Any

_KEPT = 1000
_OF_IPYTHON = re.compile(r"<ipython-input-(\d+)-[0-9a-f]{6,}>")
INPUTS = ("<In ", "<execution ", "<ipython-input-")
"""What the names of inputs begin with."""


def name_inputs(text: str) -> str:
    """A text for all clients, in which an input is called as they call it, also where IPython has named it."""
    return _OF_IPYTHON.sub(r"<In \1>", text)


class Sources:
    """The sources of the last inputs."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, None] = OrderedDict()

    def remember(self, filename: str, code: str, first_line: int = 1) -> None:
        """Have the lines of ``filename`` read as ``code`` from ``first_line`` on.

        The other lines of a file stay what they are: an editor may have changed only this cell since it was saved.
        """
        is_input = filename.startswith("<")
        lines = [] if is_input else list(linecache.getlines(filename))
        begin = first_line - 1
        lines += ["\n"] * (begin - len(lines))
        # Not splitlines: the compiler does not count form feeds and the like as line ends.
        fresh = list(io.StringIO(code, newline=None))
        if fresh and not fresh[-1].endswith("\n"):
            fresh[-1] += "\n"  # as `linecache` has it for files: who prints lines counts on it
        lines[begin : begin + len(fresh)] = fresh
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
        self.keep(filename)

    def keep(self, filename: str) -> None:
        """Count one among the last, whose lines are there already."""
        self._names[filename] = None
        self._names.move_to_end(filename)
        while len(self._names) > _KEPT:
            self.forget(next(iter(self._names)))

    def forget(self, filename: str) -> None:
        """Let the lines be read from the disk again."""
        self._names.pop(filename, None)
        linecache.cache.pop(filename, None)

    def free_parsed(self) -> None:
        """Let go of what IPython's tracebacks have parsed of inputs.

        They keep it for ever, by name and lines, and each input has a name of its own. What they have parsed of files
        stays: it is as much as there are files, and the next traceback would wait for it.
        """
        if "stack_data" not in sys.modules:
            return
        import executing
        import stack_data

        def is_of_input(filename: str) -> bool:
            return filename in self._names or filename.startswith("<")

        kept: Any = vars(stack_data.Source)  # type: ignore[attr-defined] # derived from that of `executing`
        for key in list(parsed := kept.get("__source_cache_with_lines", {})):
            if is_of_input(key[0]):
                parsed.pop(key, None)
        for key in list(found := kept.get("__executing_cache", {})):
            if is_of_input(key[0].co_filename):
                found.pop(key, None)
        # These are made again in no time of what stays.
        executing.Source.statements_at_line.cache_clear()
        executing.executing.statement_containing_node.cache_clear()
