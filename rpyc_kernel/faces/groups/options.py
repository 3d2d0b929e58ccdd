"""What stands behind the magics of groups: the options of each, read, told and completed."""

from __future__ import annotations

import re
import shlex
from typing import Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic_arguments import MagicArgumentParser

_AN_OPTION = re.compile(r"--\w[\w-]*")
_CODE_FOLLOWS = "-- "


class Options(MagicArgumentParser):  # type: ignore[misc]
    """The options of one magic.

    Args:
        magic: its name, with the signs before it.
    """

    def __init__(self, magic: str) -> None:
        super().__init__(magic)
        self.magic = magic

    @property
    def names(self) -> list[str]:
        """All of them, in their long form."""
        found = (action.option_strings for action in self._actions if action.option_strings)
        return [next(name for name in names if name.startswith("--")) for names in found]

    def read(self, line: str) -> Any:
        """What a line says; raises `UsageError`, with the options there are, where it says something else."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"{line!r} cannot be read: {error}") from None
        return self.parse_args(words)

    def error(self, message: str) -> NoReturn:
        """Called by what this is made of."""
        raise UsageError(f"{message}; the options of {self.magic} are {', '.join(self.names)}")


def _add_options_of_code(parser: Options) -> None:
    add = parser.add_argument
    add("-b", "--block", action="store_true", dest="block", default=True, help="wait for the end; this is the default")
    add("-a", "--noblock", action="store_false", dest="block", help="go on at once; %%pxresult shows what comes of it")
    add("-o", "--out", "--name", dest="out", metavar="NAME", help="keep the execution as a variable")
    add("--fold", action="store_true", help="show what they print at the end, what is equal once")
    add("--local", action="store_true", help="run the cell here, too")
    add("--retry", type=int, default=0, metavar="N", help="run it again, up to so often, where the kernel was lost")
    add("--progress-after", type=float, default=1.0, metavar="SECONDS", help="when to show how far each is; -1: never")


def _make_options_of_group(magic: str) -> Options:
    parser = Options(magic)
    add = parser.add_argument
    add("targets", nargs="*", help="names, addresses and patterns of kernels, or a variable with a group")
    add("--start", action="store_true", help="start those that do not run")
    add("--skip-missing", action="store_true", help="go on without those that cannot be reached")
    return parser


GROUP = _make_options_of_group("%group")
GROUP_CELL = _make_options_of_group("%%group")
_add_options_of_code(GROUP_CELL)
PX_CELL = Options("%%px")
PX_CELL.add_argument(
    "-t", "--targets", help="only some of the group: 0, 1:3, or names and patterns with commas between"
)
_add_options_of_code(PX_CELL)
BY_MAGIC = {each.magic: each for each in (GROUP, GROUP_CELL, PX_CELL)}


def read_code(line: str) -> str:
    """The code behind %px, which takes no options; raises `UsageError` where it looks like one, or is nothing."""
    code = line.strip()
    if code.startswith(_CODE_FOLLOWS):
        return code.removeprefix(_CODE_FOLLOWS)
    if not code:
        raise UsageError("which code? '%px CODE', or a cell below %%px")
    if found := _AN_OPTION.match(code):
        raise UsageError(
            f"%px takes code and no options, as {found[0]} would be one; those of %%px, above a cell, are "
            f"{', '.join(PX_CELL.names)}; if it is code: '%px {_CODE_FOLLOWS}{code}'"
        )
    return code
