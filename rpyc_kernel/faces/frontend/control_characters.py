"""What text from a kernel may say to a terminal: letters, line ends, tabs, and colours. Everything else is taken out.

A terminal obeys what it is told: it clears itself, renames its window, answers questions by typing. Nobody who prints
in a shared kernel may do that to somebody else's.
"""

from __future__ import annotations

import os
import re
from typing import TextIO

_SEQUENCE = re.compile(
    r"(?P<colour>\x1b\[[0-9;:]*m)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # cursor movements, erasing, reports, modes
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # window titles, links, device strings
    r"|\x1b[ -/]*[0-~]"  # reset, character sets, and the beginnings of sequences that never end
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


def is_colourful(stream: TextIO) -> bool:
    """Whether to colour: on a terminal that is not dumb, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def sanitize(text: str, *, keep_colours: bool = False) -> str:
    r"""Take out all control characters but line ends, carriage returns, tabs and, if wished, colours.

    Args:
        text: from a kernel, such as the prompt of an event.
        keep_colours: leave what sets colours, ``ESC [ … m``.

    Example:
        >>> from rpyc_kernel.frontend import sanitize
        >>> sanitize("name\x1b]0;the window's title\x07? ")
        'name? '
    """
    if not keep_colours:
        return _SEQUENCE.sub("", text)
    return _SEQUENCE.sub(lambda found: found.group("colour") or "", text)


def sanitize_line(text: str) -> str:
    r"""The same for what has to stay on one line, such as a name.

    Args:
        text: from a kernel, or from somebody in it.

    Example:
        >>> from rpyc_kernel.frontend import sanitize_line
        >>> sanitize_line("al\x1b[2Jice\r\n>>> ")
        'alice >>>'
    """
    return " ".join(sanitize(text).split())
