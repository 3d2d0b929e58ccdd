"""Magics for many kernels, in consoles and notebooks: ``%group`` says which, ``%px`` runs code in them.

They run where the user types: in a kernel of ours, or in IPython after ``%load_ext rpyc_kernel``. Names and options are
those of ipyparallel where they fit.
"""

from __future__ import annotations

import os
import re
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.faces.groups.cell_output import CellOutput
from rpyc_kernel.faces.groups.completing import complete
from rpyc_kernel.faces.groups.options import BY_MAGIC, GROUP, GROUP_CELL, PX_CELL, read_code
from rpyc_kernel.groups.execution import GroupExecution
from rpyc_kernel.groups.group import Group
from rpyc_kernel.groups.labels import describe as describe_names
from rpyc_kernel.groups.opening import group as open_group
from rpyc_kernel.groups.targets import expand

_INDEX = re.compile(r"-?\d+|(-?\d*):(-?\d*)(?::(-?\d*))?")
_OWN_SHELL = "rpyc_kernel."


@magics_class
class GroupMagics(Magics):
    """The magics of one shell.

    Attributes:
        current: the group that was used last, None before the first.
        last: the execution that was handed in last.
    """

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.current: Group | None = None
        self.last: GroupExecution | None = None
        self._own: Group | None = None
        self._asked: list[str] = []
        self._output: CellOutput | None = None

    @no_var_expand
    @line_cell_magic
    def group(self, line: str, cell: str | None = None) -> GroupExecution | None:
        """Use a group of kernels: %group TARGETS, and with a cell run it in all of them.

        TARGETS are names, addresses and patterns of them, as 'train-{0..7}', 'train-*' or 'ssh://gpu{1..8}/train'; or
        the name of a variable with a group that rpyc_kernel.group() has made. %px then runs code in the same group.
        Without TARGETS it says which kernels it has. Options: --start, --skip-missing, and for a cell those of %%px.
        """
        options = (GROUP if cell is None else GROUP_CELL).read(line)
        if options.targets:
            self._use(options)
        group = self._require_group()
        if cell is None:
            print(f"{len(group)} kernel{'' if len(group) == 1 else 's'}: {describe_names(group.names)}")
            return None
        return self._run(group, cell, options)

    @no_var_expand
    @line_cell_magic
    def px(self, line: str, cell: str | None = None) -> GroupExecution | None:
        """Run code in all kernels of the group that was used last: %px CODE, or a cell below %%px.

        Options of %%px: --noblock (-a) goes on at once, %pxresult then shows what has come of it; --targets (-t) 0, 1:3
        or names; --out (-o) NAME keeps the execution; --fold shows at the end what is equal once; --local runs it here,
        too; --retry N; --progress-after SECONDS. Ctrl-C, or the button that interrupts, interrupts it in all kernels.
        """
        if cell is None:
            return self._run(self._require_group(), read_code(line), PX_CELL.read(""))
        options = PX_CELL.read(line)
        group = self._require_group()
        return self._run(_choose(group, options.targets) if options.targets else group, cell, options)

    @line_magic
    def pxresult(self, line: str = "") -> None:
        """Wait for what %%px --noblock has handed in last, and show what has come of it."""
        if line.strip():
            raise UsageError("%pxresult takes nothing: it shows what was handed in last")
        if self.last is None:
            raise UsageError("nothing was handed in yet: %px runs code in a group")
        self._show(self.last, CellOutput(self.shell, self.last.names))

    # ------------------------------------------------------------------ which

    def _use(self, options: Any) -> None:
        """Make what is named the group of what follows; the one that was named last is still connected."""
        (first, *more) = options.targets
        named = self.shell.user_ns.get(first)
        if isinstance(named, Group) and not more:
            self._leave()
            self.current = named
        elif self._own is None or options.targets != self._asked or any(kernel.is_closed for kernel in self._own):
            missing = "skip" if options.skip_missing else "refuse"
            try:
                made = open_group(options.targets, start=options.start, missing=missing, on_loss=self._tell_loss)
            except KernelError as error:
                raise UsageError(str(error)) from None
            self._leave()
            self._own, self._asked = made, options.targets
            self.current = self._without_this(made)
            for who, problem in made.missing.items():
                print(f"without {who}: {problem}")

    def _leave(self) -> None:
        """Close what was opened here."""
        if self._own is not None:
            self._own.close()
        self.current = self._own = None

    def _without_this(self, made: Group) -> Group:
        """The group without the kernel in which this runs, which would wait for itself."""
        if not type(self.shell).__module__.startswith(_OWN_SHELL):
            return made
        mine = (os.getpid(), os.getppid())
        statuses = made.status()
        others = [name for name, each in statuses.items() if mine not in ((each["worker_pid"], each["hub_pid"]),)]
        if len(others) == len(made):
            return made
        if not others:
            self._leave()
            raise UsageError("that is the kernel in which you type, which would wait for itself")
        print("without this kernel, which would wait for itself")
        return made.select(others)

    def _require_group(self) -> Group:
        if self.current is None:
            raise UsageError("in which kernels? '%group TARGETS' says it, as in %group train-*")
        return self.current

    # ------------------------------------------------------------------ running

    def _run(self, group: Group, code: str, options: Any) -> GroupExecution | None:
        try:
            run = self.last = group.submit(code, retry=options.retry)
        except RequestError as error:
            raise UsageError(str(error)) from None
        if options.out:
            self.shell.user_ns[options.out] = run
        if options.local:
            self.shell.run_cell(code)
        if not options.block:
            return run
        output = CellOutput(self.shell, run.names, is_folding=options.fold, progress_after_s=options.progress_after)
        self._show(run, output)
        return None

    def _show(self, run: GroupExecution, output: CellOutput) -> None:
        self._output = output
        try:
            output.show(run)
        finally:
            self._output = None

    def _tell_loss(self, name: str, words: str) -> None:
        if (output := self._output) is not None:
            output.lose(name, words)


def _choose(group: Group, wanted: str) -> Group:
    """Some of a group: by an index or a slice as in Python, or by names."""
    if wanted == "all":
        return group
    found = _INDEX.fullmatch(wanted)
    try:
        if found is None:
            return group.select(expand(_split(wanted), lambda: group.names))
        if ":" not in wanted:
            chosen: Group = group[int(wanted)]
        else:
            chosen = group[slice(*(int(part) if part else None for part in wanted.split(":")))]
    except (KernelError, IndexError) as error:
        raise UsageError(str(error)) from None
    if not len(chosen):
        raise UsageError(f"--targets {wanted}: there is no such kernel among the {len(group)} of the group")
    return chosen


def _split(names: str) -> list[str]:
    """The names between commas that stand in no brace."""
    return re.findall(r"(?:\{[^}]*\}|[^,{])+", names)


def load_ipython_extension(shell: Any) -> None:
    """Give a shell of IPython these magics: ``%load_ext rpyc_kernel``."""
    if "GroupMagics" not in shell.magics_manager.registry:  # or a group in use would be forgotten
        shell.register_magics(GroupMagics)
    for magic in BY_MAGIC:
        shell.set_hook("complete_command", complete, str_key=magic)
