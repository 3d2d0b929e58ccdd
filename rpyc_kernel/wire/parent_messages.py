"""The message that an execution came by, where widgets name it: a worker knows the execution, a face the message."""

from __future__ import annotations

from typing import Any, Final

_PREFIX: Final = "rpyc_kernel-execution-"


def name_message(execution: int | None) -> str:
    """What stands for the message that an execution came by."""
    return f"{_PREFIX}{execution}"


def execution_of(message: Any) -> int | None:
    """The execution that such a name stands for; None where it is none."""
    number = message.removeprefix(_PREFIX) if isinstance(message, str) else message
    return int(number) if number != message and number.isdecimal() else None
