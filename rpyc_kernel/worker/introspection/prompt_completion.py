"""What could be the answer where code asks: at a debugger's prompt its commands, and the names of where it stands."""

from __future__ import annotations

import re
from typing import Any

from rpyc_kernel.core.introspection import Completion, Completions
from rpyc_kernel.worker.debugging.interactive import find_standing
from rpyc_kernel.worker.introspection.completion import Completer, answer

_COMMAND = re.compile(r"\s*([a-z]*)\Z")
_PREFIX = "do_"


def complete_answer(execution: int, text: str, cursor: int) -> Completions:
    """Return what could stand at ``cursor`` of what is typed for an execution; nothing where no debugger asks."""
    debugger = find_standing(execution)
    frame = getattr(debugger, "curframe", None)
    if frame is None:
        return Completions(cursor, cursor)
    # The debugger's own view of the variables, where it has one: before Python 3.13, to ask the frame anew takes back
    # what was assigned at the prompt.
    variables = getattr(debugger, "curframe_locals", None)
    names = {**frame.f_globals, **(frame.f_locals if variables is None else variables)}
    found = Completer(names, None, "").complete(text, cursor)
    first = _COMMAND.match(text[:cursor])
    if first is None:
        return found
    return answer([*found.items, *_list_commands(debugger)], first[1], cursor)


def _list_commands(debugger: Any) -> list[Completion]:
    names = [name.removeprefix(_PREFIX) for name in dir(type(debugger)) if name.startswith(_PREFIX)]
    return [Completion(name, "command") for name in names]
