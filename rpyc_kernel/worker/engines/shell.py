"""IPython's shell, which publishes by our events: what it shows and what fails in it.

Libraries look at its class to find out where they are. So it is called what the shell of a notebook is called where the
kernel is a notebook's, and else what that of a terminal is called.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from IPython.core import magic
from IPython.core.autocall import ExitAutocall, IPyAutocall
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.macro import Macro
from IPython.utils.text import LSString, SList
from traitlets import Any as AnyTrait
from traitlets.config import Config

from rpyc_kernel.settings import CONNECTION_FILE_VARIABLE, Face
from rpyc_kernel.worker.engines import commands, magics, profile, zmqshell
from rpyc_kernel.worker.engines.displays import Displays
from rpyc_kernel.worker.engines.notebook_kernel import Hooked, NotebookKernel, offer_application
from rpyc_kernel.worker.engines.shell_parts import (
    PYTHON_LINE,
    Compiler,
    Formatter,
    History,
    Hook,
    Payloads,
    Publisher,
    Transformers,
)
from rpyc_kernel.worker.error_reports import describe_error, is_group, is_of_debugger, without_our_frames
from rpyc_kernel.worker.sources import Sources
from rpyc_kernel.worker.values import Values

Tell = Callable[[BaseException, "list[str] | None", bool], None]
"""Shows an exception: itself, the parts in which IPython puts it if it does, and whether its frames are of interest."""

_FEWEST_VALUES = 3
_IN_MEMORY = ":memory:"
"""Where IPython is to look for its history's file: there is none."""
_OF_GROUPS = ("group", "px")
"""Magics for many kernels; they load a client, and so only when one is used, and others of their kind with them."""
_GROUP_MAGICS = "rpyc_kernel.faces.groups.magics:GroupMagics"
# Nobody can turn the pages of a program that runs in a cell.
_NO_PAGERS = {"PAGER": "cat", "GIT_PAGER": "cat"}
# What ipykernel tells programs, so that they show colours.
_COLOURS = {"TERM": "xterm-color", "CLICOLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}


class Shell(InteractiveShell):
    """The shell, whatever it is called.

    Attributes:
        failed: the exception of the running input that was handed over to be shown last.
        shown: the one that was shown last.
    """

    displays: Displays
    sources: Sources
    values: Values
    tell: Tell
    application: Any = None
    failed: BaseException | None = None
    shown: BaseException | None = None
    execution_count: Any  # IPython's
    # Traits of IPython's that only it sets, and nobody is told of. It looks them up dozens of times for each input, and
    # each time a trait takes two calls.
    builtin_trap: Any = None
    display_trap: Any = None
    history_manager: Any = None
    last_execution_result: Any = None
    last_execution_succeeded: Any = None
    magics_manager: Any = None
    prefilter_manager: Any = None
    _is_of_compiler = False

    def __init__(self, **options: Any) -> None:
        self.input_transformer_manager = Transformers()
        super().__init__(**options)

    def begin(self, count: int | None, code: str, file: str, first_line: int, publish: Any) -> None:
        """Take up an input, or what is none."""
        if count is not None and self.execution_count != count:  # which tells all who observe it
            self.execution_count = count
        self.failed = self.shown = None
        self.displayhook.publish, self.displayhook.is_counted = publish, count is not None
        self.compile.begin(code, file, first_line, self.sources)

    def start_up(self) -> None:
        """Run what the user's profile wants run."""
        if self.application is not None:
            profile.start_up(self.application, self)

    # -- what IPython adds to Python

    def init_prefilter(self) -> None:
        """Remember what looks for macros, magics without a ``%`` and the like, before others add to it."""
        super().init_prefilter()
        self._known_checkers = [*self.prefilter_manager.checkers]
        self._known_handlers = {**self.prefilter_manager.handlers}

    def transform_cell(self, raw_cell: str) -> str:
        """Leave a line as it is of which IPython would change nothing: to find out takes it longer than to run it."""
        line = PYTHON_LINE.fullmatch(raw_cell)
        if line is not None and not self._has_meaning(line[1]) and self._transforms_as_known():
            return f"{raw_cell}\n"
        return str(super().transform_cell(raw_cell))

    def _has_meaning(self, word: str) -> bool:
        """Whether a word may be more than a name to IPython, at the beginning of a line."""
        magics = self.magics_manager
        return (
            word in magics.magics["line"]
            or word in getattr(magics, "lazy_magics", ())
            or self.autocall != 0
            or isinstance(self.user_ns.get(word), (Macro, IPyAutocall))
        )

    def _transforms_as_known(self) -> bool:
        """Whether nobody has added to what IPython itself looks for."""
        prefilter = self.prefilter_manager
        return (
            # Anybody may have put a manager of their own in its place.
            getattr(self.input_transformer_manager, "is_as_known", False)
            and not self.input_transformers_post
            and not prefilter.transformers
            and prefilter.checkers == self._known_checkers
            and prefilter.handlers == self._known_handlers
        )

    # -- parts

    def _find_my_config(self, cfg: Any) -> Any:
        """Leave out what is said of a terminal that is not here, such as how its keys are bound."""
        found, known = super()._find_my_config(cfg), self.traits(config=True)
        for name in [name for name in found if not name[:1].isupper() and name not in known]:
            del found[name]
        return found

    def _exiter_default(self) -> Any:
        return _Exit(self)

    def init_environment(self) -> None:
        """Tell programs that run in cells what they run in."""
        os.environ.update(_NO_PAGERS)

    def init_virtualenv(self) -> None:
        """Stay with the interpreter that was chosen."""

    def init_history(self) -> None:
        """Keep the last inputs in memory: all of them are in the journal."""
        self.history_manager = History(shell=self, parent=self, enabled=False, hist_file=_IN_MEMORY)
        self.history_manager.output_hist = self.values
        self.configurables.append(self.history_manager)

    def init_completer(self) -> None:
        """Leave it until somebody wants it, as the kernel completes by itself: it takes a sixth of the start."""

    @functools.cached_property
    def Completer(self) -> Any:  # noqa: N802 - IPython's name
        """IPython's own completer, for extensions that add to it."""
        super().init_completer()
        return vars(self)["Completer"]

    def init_display_formatter(self) -> None:
        """Explain representations that fail."""
        self.display_formatter = Formatter(parent=self)
        self.configurables.append(self.display_formatter)

    def init_magics(self) -> None:
        """Know ``%store`` too, which every application of IPython loads."""
        super().init_magics()
        if not hasattr(self.magics_manager, "register_lazy"):  # 8.0
            from IPython.extensions.storemagic import StoreMagics

            self.register_magics(StoreMagics)
            return
        self.magics_manager.register_lazy("store", "IPython.extensions.storemagic")
        for name in _OF_GROUPS:
            # The class by itself says what it does before it is used; an older IPython takes extensions only.
            self.magics_manager.register_lazy(name, _GROUP_MAGICS if hasattr(magic, "LazyMagic") else "rpyc_kernel")
        for command in ("%group", "%%group", "%%px"):
            self.set_hook("complete_command", _complete_groups, str_key=command)
        if load := getattr(self.magics_manager, "load_lazy", None):  # an older one loads all at its start
            self.magics_manager.load_lazy = functools.partial(self._load_magics, load)

    def _load_magics(self, load: Callable[..., None], *arguments: Any) -> None:
        """Load what provides a magic, and again at its next use if it was interrupted: IPython takes it for loaded."""
        loaded = self.magics_manager._loaded_lazy
        before = set(loaded)
        try:
            load(*arguments)
        except BaseException:
            loaded &= before
            raise

    @property
    def debugger_cls(self) -> Any:
        """IPython's debugger, fit for the kernel."""
        from rpyc_kernel.worker.debugging.interactive import make_debugger

        return make_debugger()

    # -- errors

    def showtraceback(self, exc_tuple: Any = None, *arguments: Any, **keywords: Any) -> None:
        """Show an exception as the user has it set up; that of a representation is explained."""
        _, error, trace = exc_tuple or sys.exc_info()
        if error is None:
            error, trace = getattr(sys, "last_value", None), getattr(sys, "last_traceback", None)
            keywords["tb_offset"] = 0  # shown again, without the frame of the shell's
        if error is None:
            super().showtraceback(None, *arguments, **keywords)  # which says so
            return
        if self.display_formatter.takes(error):
            return
        self.failed = error
        if is_group(error) or is_of_debugger(trace):  # which IPython prints past all clients, or with its own frames
            self._showtraceback(type(error), error, None)
            return
        try:
            super().showtraceback((type(error), error, without_our_frames(trace)), *arguments, **keywords)
        except BaseException:
            if self.shown is error:
                raise
            self._showtraceback(type(error), error, None)
        finally:
            self.sources.free_parsed()

    def showsyntaxerror(self, filename: Any = None, running_compiled_code: bool = False) -> None:
        """Show what the compiler refused."""
        error = sys.exc_info()[1]
        if error is not None:
            if self.display_formatter.takes(error):
                return
            self.failed = error
        self._is_of_compiler = not running_compiled_code
        try:
            super().showsyntaxerror(filename, running_compiled_code)
        finally:
            self._is_of_compiler = False

    def show_usage_error(self, exc: BaseException) -> None:
        """Show how a magic was used wrongly."""
        self._is_of_compiler = True
        try:
            self._showtraceback(type(exc), exc, [f"UsageError: {exc}"])
        finally:
            self._is_of_compiler = False

    def _showtraceback(self, etype: Any, evalue: BaseException, stb: Any) -> None:
        """Publish what is shown; libraries that show it themselves replace this method."""
        self.shown = evalue
        parts = [stb] if isinstance(stb, str) else stb
        self.tell(evalue, parts, not self._is_of_compiler)

    def _format_exception_for_storage(self, exception: BaseException, *_: Any, **__: Any) -> dict[str, Any]:
        """What ``%notebook`` exports of an exception, without asking it again how IPython would show it."""
        report = describe_error(exception)
        return {"ename": report["ename"], "evalue": report["evalue"], "traceback": report["traceback"].splitlines()}

    def is_shown_elsewhere(self, error: BaseException) -> bool:
        """Whether the user has put something in place of what shows such an exception here."""
        return not vars(self).keys().isdisjoint(("_showtraceback", "showtraceback")) or (
            issubclass(type(error), self.custom_exceptions)
        )

    def _tee(self, channel: Any) -> contextlib.AbstractContextManager[None]:
        """Keep nothing of what is printed by code that an input runs, as `%%capture` does; IPython would, for ever."""
        return contextlib.nullcontext()

    # -- what magics ask for

    def reset(self, *arguments: Any, **keywords: Any) -> None:
        """Free what was shown, too."""
        self.failed = self.shown = None
        super().reset(*arguments, **keywords)

    def system(self, cmd: str) -> None:
        """Run a command on a terminal of its own, as the person's shell would."""
        command = self.var_expand(cmd, depth=1)
        status = commands.run(command)
        self.user_ns["_exit_code"] = status
        if status and getattr(self, "system_raise_on_error", False):
            from subprocess import CalledProcessError

            raise CalledProcessError(status, command)

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Run a command and return what it writes."""
        text = commands.read(self.var_expand(cmd, depth=depth + 1))
        return SList(text.splitlines()) if split else LSString(text)

    def set_next_input(self, s: str, replace: bool = False) -> None:
        """Propose what to run next."""
        self.displays.propose(s, replace)

    def ask_exit(self) -> None:
        """End the input, as `exit` does in a program; the kernel is not one client's to end."""
        raise SystemExit

    def enable_gui(self, gui: str | None = None) -> None:
        """Let the windows of a toolkit live from now on; see `gui.enable`."""
        if gui in ("asyncio", "trio"):
            self.run_line_magic("autoawait", gui)
        if gui != "trio":
            _toolkits().enable(gui)

    def enable_matplotlib(self, gui: str | None = None) -> Any:
        """The same for matplotlib's figures, which would find out too late what is missing."""
        _toolkits().check_figures(gui)
        return super().enable_matplotlib(gui)


def _toolkits() -> ModuleType:
    # Here, as most kernels show no windows.
    return importlib.import_module("rpyc_kernel.worker.engines.gui")


class _Exit(ExitAutocall):
    """`exit` and `quit`: also with a status, as in a program."""

    def __call__(self, code: Any = None) -> None:
        """End the input, or the program."""
        raise SystemExit(code)


class ZMQInteractiveShell(Shell):
    """What libraries take for a notebook's: in a kernel that was started for one."""

    # Some look at the name of the module too, such as plotly, which writes all of its script into others' notebooks.
    __module__ = zmqshell.NAME
    kernel = AnyTrait()

    @property
    def parent_header(self) -> dict[str, Any]:
        """The message to which what is shown now belongs."""
        return self.get_parent()

    @parent_header.setter
    def parent_header(self, parent: dict[str, Any]) -> None:
        self.set_parent(parent)

    def get_parent(self) -> dict[str, Any]:
        """The message to which what is shown now belongs."""
        return self.kernel.get_parent()  # type: ignore[no-any-return]

    def set_parent(self, parent: dict[str, Any]) -> None:
        """Have what is shown from now on belong to an execution; see `Messages.set_parent`."""
        self.kernel.set_parent(None, parent)

    def init_payload(self) -> None:
        """Pass on what code asks of the page."""
        self.payload_manager = Payloads(parent=self)
        self.configurables.append(self.payload_manager)

    def init_environment(self) -> None:
        """The same, and that a notebook shows colours."""
        super().init_environment()
        os.environ.update(_COLOURS)


class TerminalInteractiveShell(Shell):
    """What libraries take for a terminal's: in all other kernels."""


_CLASSES = {Face.NOTEBOOK: ZMQInteractiveShell, Face.TERMINAL: TerminalInteractiveShell}


def make_shell(
    module: ModuleType, displays: Displays, sources: Sources, values: Values, tell: Tell, *, face: str, reads: bool
) -> Shell:
    """Make the one shell there is, which `get_ipython` returns, with this face to libraries.

    It ``reads`` the user's profile or not, and ``tell`` shows exceptions.
    """
    kind = _CLASSES[face]
    kind.displays, kind.sources, kind.values = displays, sources, values
    kind.tell = staticmethod(tell)
    application = profile.read(is_notebook=face == Face.NOTEBOOK) if reads else None
    config = Config() if application is None else application.config
    options: dict[str, Any] = {} if application is None else {"parent": application}
    connection_file = os.environ.pop(CONNECTION_FILE_VARIABLE, "")  # kernels that are started from here have others
    if face == Face.NOTEBOOK:
        config.setdefault("IPKernelApp", Config())
        config.IPKernelApp.update(name="rpyc_kernel", connection_file=connection_file)
    wanted = config.get("InteractiveShell", {}).get("cache_size")
    if isinstance(wanted, int) and wanted >= _FEWEST_VALUES:  # with fewer, IPython keeps none; clients ask for theirs
        values.limit = wanted
    shell: Shell = kind.instance(
        config=config,
        user_module=module,
        user_ns=vars(module),
        cache_size=max(values.limit, _FEWEST_VALUES),
        displayhook_class=Hook,
        display_pub_class=Hooked if face == Face.NOTEBOOK else Publisher,
        compiler_class=Compiler,
        **options,
    )
    shell.application = application
    if face == Face.NOTEBOOK:
        shell.kernel = NotebookKernel(shell)
        zmqshell.stand_in(ZMQInteractiveShell)
        offer_application(shell, connection_file)
    magics.install(shell, is_notebook=face == Face.NOTEBOOK)
    shell.set_hook("show_in_pager", _page, 0)
    shell.set_hook("editor", _refuse_editor, 0)
    # For programs with a namespace of their own; IPython takes them out, as they are in the one that all share.
    shell.builtin_trap.auto_builtins.update(exit=shell.exiter, quit=shell.exiter)
    shell.builtin_trap.__enter__()  # for good: threads and clients beside the main lane use `get_ipython` too
    return shell


def find_loop_runner(shell: Shell) -> Any:
    """What runs code that awaits, if the user has chosen another loop than asyncio's; None for the kernel's own.

    Raises:
        UsageError: it is not installed.
    """
    runner = shell.loop_runner
    name = next((name for name, (known, _) in shell.loop_runner_map.items() if known is runner), None)
    if name in ("asyncio", "sync"):
        return None
    if name is not None and importlib.util.find_spec(name) is None:
        raise UsageError(f"{name} is not installed; install it, or go back by '%autoawait asyncio'")
    return runner


def _complete_groups(shell: Shell, event: Any) -> Any:
    """What the magics would have set up for this if one had been used; a client is loaded now."""
    return importlib.import_module("rpyc_kernel.faces.groups.completing").complete(shell, event)


def _page(shell: Shell, data: Any, *_: Any, **__: Any) -> None:
    shell.displays.page(data)


def _refuse_editor(shell: Shell, *_: Any, **__: Any) -> None:
    raise UsageError("the kernel has no terminal for an editor; edit the file where you are, and run it")
