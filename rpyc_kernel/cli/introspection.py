"""Commands that look: status, vars, stack. They answer while the kernel is busy, and tell nobody."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from typing import TYPE_CHECKING

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, JsonCommand, kernel_there, tell
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.core.table_rows import ASCENDING, DESCENDING
from rpyc_kernel.core.text_columns import cut
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.frontend.conditions import read_condition
from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.faces.frontend.summaries import (
    summarise_cells,
    summarise_status,
    summarise_variables,
    summarise_watched,
)

if TYPE_CHECKING:
    from rpyc_kernel.core.introspection import Watched


class Status(JsonCommand):
    """Say what a kernel is doing, who waits for what, and who is there."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            status = kernel.status()
        self.write_answer(status, summarise_status(status))
        return OK


class Vars(JsonCommand):
    """List the variables of a kernel, also while it is busy. With --json each is an object on a line of its own.

    With a path, show the table there; --json gives its cells as one object.

    Example:
        rpyc-kernel vars demo
        rpyc-kernel vars demo prices --rows 0:20 --sort "price descending" --where "price >= 10"
    """

    USAGE = "    {progname} [SWITCHES] [NAME [PATH]]\n"

    rows = cli.SwitchAttr("--rows", str, default="0:20", help="of a table, from 0, without the last", argname="A:B")
    columns = cli.SwitchAttr("--columns", str, default="0:20", help="of a table, likewise", argname="A:B")
    sort = cli.SwitchAttr(
        "--sort", str, list=True, help="sort a table by this; may be given again", argname="COLUMN[ descending]"
    )
    where = cli.SwitchAttr(
        "--where",
        str,
        list=True,
        help="only rows like 'price >= 10', 'name contains ap' or 'note is null'; all must hold",
        argname="CONDITION",
    )

    def main(self, name: str = DEFAULT_NAME, path: str = "") -> int:
        chosen = {
            "rows": _read_range(self.rows),
            "columns": _read_range(self.columns),
            "sort": [_read_key(text) for text in self.sort],
            "filter": [read_condition(text) for text in self.where],
        }
        if not path and (self.sort or self.where):
            raise RequestError("which table is to be sorted or filtered? Write vars NAME PATH")
        with self.connect(name, joins=False) as kernel:
            if path:
                cells = kernel.slice(path, **chosen)  # type: ignore[arg-type]
                self.write_answer(dataclasses.asdict(cells), summarise_cells(cells))
                return OK
            found = kernel.variables()
        lines = summarise_variables(found)
        if self.as_json:
            lines = [json.dumps(dataclasses.asdict(variable)) for variable in found]
        for line in lines:
            print(line)
        return OK


class WatchExpressions(JsonCommand):
    """Show what expressions are, and again after each execution that has changed them, until Ctrl-C.

    A terminal shows them in one place; elsewhere each that has changed is a line. With --json each of those is an
    object on a line of its own. One that raises has its error as its value, and the others theirs.

    Example:
        rpyc-kernel watch demo 'len(results)' 'model.loss'
    """

    USAGE = "    {progname} [SWITCHES] NAME EXPRESSION...\n"

    limit = cli.SwitchAttr("--limit", float, default=1.0, help="how long each may take", argname="SECONDS")

    def main(self, name: str, expression: str, *more: str) -> int:
        before: list[Watched] = []
        is_in_place = not self.as_json and sys.stdout.isatty()
        with self.connect(name, joins=False) as kernel:
            for found in kernel.watch_expressions((expression, *more), limit=check_limit(self.limit, "--limit") or 1.0):
                if is_in_place:
                    self._draw(found, len(before))
                else:
                    self._write([each for each in found if each not in before])
                before = found
        tell(f"kernel {kernel_there(kernel.name, name)} has stopped")
        return OK

    def _draw(self, found: list[Watched], above: int) -> None:
        up = f"\x1b[{above}F\x1b[J" if above else ""
        width = shutil.get_terminal_size().columns - 1
        print(up + "\n".join(cut(summarise_watched(each), width) for each in found), flush=True)

    def _write(self, news: list[Watched]) -> None:
        for each in news:
            print(json.dumps(dataclasses.asdict(each)) if self.as_json else summarise_watched(each), flush=True)


def _read_range(text: str) -> tuple[int, int]:
    try:
        first, end = map(int, text.split(":"))
    except ValueError:
        raise RequestError(f"{text!r} is no range; write 0:20 for the first twenty") from None
    return first, end


def _read_key(text: str) -> tuple[str, str]:
    column, _, direction = text.rpartition(" ")
    return (column, direction) if column and direction in (ASCENDING, DESCENDING) else (text, ASCENDING)


class Stack(JsonCommand):
    """Show where every thread of a kernel's worker is, also while a C call holds the interpreter lock."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            stack = kernel.stack()
        self.write_answer({"stack": stack}, [sanitize(stack).rstrip()])
        return OK
