"""The engine of IPython: magics, ``!``, ``?``, its formatters and display functions; events and tracebacks are ours.

IPython's shell runs what is on the main lane. A side lane gets its input transformed and its values formatted by the
shell, but runs beside it: the shell knows only one input at a time.
"""

from __future__ import annotations

import codeop
import contextlib
import functools
import os
import subprocess
import sys
import tokenize
import warnings
from collections.abc import Awaitable, Coroutine
from types import ModuleType
from typing import TYPE_CHECKING, Any

import IPython
from IPython.core import display_functions, inputtransformer2
from IPython.core.autocall import ExitAutocall
from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.formatters import DisplayFormatter, FormatterWarning
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import LSString, SList

from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.core.form import Form
from rpyc_kernel.system.originals import threading
from rpyc_kernel.worker.engines import Emit
from rpyc_kernel.worker.engines.bundles import Bundle, clean_bundle, explain, stand_in
from rpyc_kernel.worker.engines.displays import Displays, add_builtins
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.engines.sources import Sources
from rpyc_kernel.worker.interrupts import Interrupts, pass_over, runs_user_code
from rpyc_kernel.worker.user_frames import enters_user_code, hide

if TYPE_CHECKING:
    from rpyc_kernel.core.looking import CodeState

_IPYTHON = os.path.dirname(IPython.__file__) + os.sep
# An interrupt in the middle of these waits until user code is on top again: it would leave the shell in disorder.
_MACHINERY = (
    "async_helpers",
    "builtin_trap",
    "compilerop",
    "display_trap",
    "displayhook",
    "events",
    "history",
    "inputtransformer2",
    "interactiveshell",
)
_KEPT_INPUTS = 1000
_INLINE = "module://matplotlib_inline.backend_inline"


class IPythonEngine(PlainEngine):
    """Runs code in IPython's shell, in a module named ``__main__``; see `PlainEngine`."""

    name = "ipython"

    def __init__(self, emit: Emit, interrupts: Interrupts, kept_values: int, *, profile: bool = False) -> None:
        super().__init__(emit, interrupts, kept_values, profile=profile)
        hide(_IPYTHON, "<decorator-gen")
        enters_user_code(InteractiveShell.run_code)
        pass_over(*(f"{_IPYTHON}core{os.sep}{name}.py" for name in _MACHINERY))
        _prepare_warnings_and_plots()
        self._shell = _Shell.make(self._module, self._displays, self._sources, max(kept_values, 3))
        self._transformers = inputtransformer2.TransformerManager()  # for threads other than the main one
        self._main_thread = threading.get_ident()

    def _offer(self) -> None:
        add_builtins(
            display=display_functions.display,
            update_display=display_functions.update_display,
            clear_output=display_functions.clear_output,
        )

    def is_complete(self, code: str) -> CodeState:
        """Say whether code could run as it is; see `Engine.is_complete`."""
        from rpyc_kernel.core.looking import CodeState, Completeness

        if "\0" in code:  # the tokenizer of Python 3.12 and later takes it for an end that is missing
            return CodeState(Completeness.INVALID)
        try:
            status, indent = self._transformers.check_complete(code)
        except Exception:  # noqa: BLE001 - what the tokenizer makes of garbage
            status, indent = "invalid", 0
        return CodeState(status, " " * (indent or 0))

    def show(self, execution: int, value: Any) -> None:
        """Publish the value of a last expression, and keep it; see `PlainEngine.show`."""
        if value is None:
            return
        if self._is_on_main_lane:
            self._shell.execution_count = execution + 1  # what the shell's numbers of outputs are counted from
            self._shell.displayhook.update_user_ns(value)
        self._show(execution, value, self._format)

    @property
    def _is_on_main_lane(self) -> bool:
        return threading.get_ident() == self._main_thread

    def _format(self, value: Any) -> Bundle:
        return clean_bundle(*self._shell.display_formatter.format(value))

    def _run_code(self, execution: int, code: str, form: Form) -> str | Awaitable[str]:
        if not self._is_on_main_lane:
            return super()._run_code(execution, self._transformers.transform_cell(code), form)
        self._shell.begin(execution, code, form, lambda value: self._show(execution, value, self._format))
        try:
            transformed, failure = self._transform(code)
        except BaseException as error:  # noqa: BLE001 - an interrupt that came with the code
            return self.report(execution, error, has_frames=False)
        awaits = self._awaits(code, transformed, failure)
        running = self._run_cell(execution, code, transformed, failure)
        return running if awaits else _run_to_end(running)

    def _awaits(self, code: str, transformed: str, failure: Any) -> bool:
        try:
            return bool(
                self._shell.should_run_async(code, transformed_cell=transformed, preprocessing_exc_tuple=failure)
            )
        except Exception:  # noqa: BLE001 - it compiles to find out, and hopeless source is reported when it is run
            return False

    @runs_user_code
    def _transform(self, code: str) -> tuple[str, Any]:
        try:
            return self._shell.transform_cell(code), None
        except Exception:  # noqa: BLE001 - transformers may be the user's
            return code, sys.exc_info()

    @runs_user_code
    async def _run_cell(self, execution: int, code: str, transformed: str, failure: Any) -> str:
        was_compiled = True
        try:
            try:
                result = await self._shell.run_cell_async(
                    code, store_history=True, transformed_cell=transformed, preprocessing_exc_tuple=failure
                )
            finally:
                self._shell.events.trigger("post_execute")
            self._shell.events.trigger("post_run_cell", result)
            was_compiled = result.error_before_exec is None
            told = (result.error_before_exec, result.error_in_exec, self._shell.shown_error)
        except BaseException as raised:  # noqa: BLE001 - an interrupt; or the shell fails at a hostile exception
            told = (self._shell.shown_error, raised, None)
        error = next((error for error in told if error is not None), None)
        if error is None:
            return Outcome.OK
        return self.report(execution, error, has_frames=was_compiled and type(error) is not UsageError)


def _run_to_end(running: Coroutine[Any, Any, str]) -> str:
    """Run a coroutine that awaits nothing."""
    try:
        running.send(None)
    except StopIteration as ended:
        return str(ended.value)
    running.close()
    raise RuntimeError("the code awaits, although it is not to; await it in a cell of its own")


def _prepare_warnings_and_plots() -> None:
    warnings.filterwarnings("ignore", message="To exit: use 'exit'", category=UserWarning)
    warnings.simplefilter("always", FormatterWarning)
    os.environ.setdefault("MPLBACKEND", _INLINE)


# ---------------------------------------------------------------------- the shell, and its parts that publish


class _Shell(InteractiveShell):
    """IPython's shell, which publishes by our events and leaves errors to the engine."""

    displays: Displays
    sources: Sources
    shown_error: BaseException | None = None

    @classmethod
    def make(cls, module: ModuleType, displays: Displays, sources: Sources, kept_values: int) -> _Shell:
        """Make the one shell there is, which `get_ipython` returns."""
        cls.displays, cls.sources = displays, sources
        shell: _Shell = cls.instance(
            user_module=module,
            user_ns=vars(module),
            cache_size=kept_values,
            colors="nocolor" if IPython.version_info[0] >= 9 else "NoColor",
            displayhook_class=_DisplayHook,
            display_pub_class=_DisplayPublisher,
            compiler_class=_Compiler,
        )
        shell.set_hook("show_in_pager", _page, 0)
        shell.set_hook("editor", _refuse_editor, 0)
        # For programs with a namespace of their own; IPython takes them out, as they are in the one that all share.
        shell.builtin_trap.auto_builtins.update(exit=shell.exiter, quit=shell.exiter)
        shell.builtin_trap.__enter__()  # for good: threads and clients beside the main lane use `get_ipython` too
        return shell

    def begin(self, execution: int, code: str, form: Form, publish: Any) -> None:
        """Take up an input."""
        self.execution_count = execution
        self.shown_error = None
        self.displayhook.publish = publish
        self.compile.begin(code, form, self.sources)

    # -- parts

    def _exiter_default(self) -> Any:
        return _Exit(self)

    def init_virtualenv(self) -> None:
        """Stay with the interpreter that was chosen."""

    def init_history(self) -> None:
        """Keep the last inputs in memory: all of them are in the journal."""
        self.history_manager = _History(shell=self, parent=self, enabled=False)
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
        self.display_formatter = _Formatter(parent=self)
        self.configurables.append(self.display_formatter)

    @property
    def debugger_cls(self) -> Any:
        """IPython's debugger, made to end when it is interrupted."""
        from IPython.core.debugger import Pdb

        class Debugger(Pdb):
            was_interrupted = False

            def _cmdloop(self) -> None:
                try:
                    self.cmdloop()
                except KeyboardInterrupt:
                    self.was_interrupted = True
                    raise

            def interaction(self, *arguments: Any) -> None:
                self.was_interrupted = False
                super().interaction(*arguments)
                if self.was_interrupted:
                    raise KeyboardInterrupt

        return Debugger

    # -- errors

    def showtraceback(self, exc_tuple: Any = None, *_: Any, **__: Any) -> None:
        """Remember what failed; the engine reports it when the input ends. A formatter's failure is explained."""
        reported: BaseException | None = getattr(sys, "last_value", None)
        error: BaseException | None = (exc_tuple or sys.exc_info())[1]
        error = reported if error is None else error  # "or" would ask the exception, which may be hostile
        if error is None or self.display_formatter.takes(error):
            return
        if error is reported:  # shown again on request
            explain("an earlier input", error)
        else:
            self.shown_error = error

    showsyntaxerror = showindentationerror = showtraceback

    def _format_exception_for_storage(self, *_: Any, **__: Any) -> list[str]:
        return []  # the journal has it

    # -- what magics ask for

    def system(self, cmd: str) -> None:
        """Run a command whose output goes where that of all child processes goes."""
        self.user_ns["_exit_code"] = _call_command(self.var_expand(cmd, depth=1))

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Run a command and return what it writes."""
        text = _read_command(self.var_expand(cmd, depth=depth + 1))
        return SList(text.splitlines()) if split else LSString(text)

    def set_next_input(self, s: str, replace: bool = False) -> None:
        """Propose what to run next."""
        self.displays.propose(s, replace)

    def ask_exit(self) -> None:
        """End the input, as `exit` does in a program; the kernel is not one client's to end."""
        raise SystemExit

    def enable_gui(self, gui: str | None = None) -> None:
        """Refuse windows: there is no loop for them."""
        if gui not in (None, "inline"):
            raise UsageError(f"the kernel runs no event loop for {gui!r}; use '%matplotlib inline'")


class _Exit(ExitAutocall):
    """`exit` and `quit`: also with a status, as in a program."""

    def __call__(self, code: Any = None) -> None:
        """End the input, or the program."""
        raise SystemExit(code)


@runs_user_code
def _call_command(command: str) -> int:
    return subprocess.run(command, shell=True, check=False).returncode


@runs_user_code
def _read_command(command: str) -> str:
    done = subprocess.run(command, shell=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode("utf-8", "backslashreplace")


def _page(shell: _Shell, data: Any, *_: Any, **__: Any) -> None:
    shell.displays.page(data)


def _refuse_editor(shell: _Shell, *_: Any, **__: Any) -> None:
    raise UsageError("the kernel has no terminal for an editor; edit the file where you are, and run it")


class _Compiler(CachingCompiler):
    """Names inputs as we do, and counts their lines from where they stand in a file."""

    _code: str | None = None
    _form = Form("<In 0>")
    _sources: Sources

    def __init__(self) -> None:
        super().__init__()
        # With this flag, code that is not finished would only be called that, and not told what it lacks.
        self.flags &= ~getattr(codeop, "PyCF_ALLOW_INCOMPLETE_INPUT", 0)

    def begin(self, code: str, form: Form, sources: Sources) -> None:
        """Take up an input."""
        self._code, self._form, self._sources = code, form, sources

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """Return the name of an input; that of code which runs inside of it is IPython's."""
        if raw_code == self._code:
            return self._form.file
        return str(super().get_code_name(raw_code, transformed_code, number))

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """Remember the lines of code under its name; returns the name."""
        if raw_code is None or raw_code != self._code:
            return str(super().cache(transformed_code, number, raw_code))
        self._sources.remember(self._form.file, raw_code, self._form.first_line)
        return self._form.file

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> Any:
        """Parse code so that its lines have the numbers of the file."""
        if filename == self._form.file and self._code is not None:
            # IPython takes empty lines off the beginning.
            begun = len(self._code) - len(self._code.lstrip())
            empty = self._code[:begun].count("\n") if not source[:1].isspace() else 0
            source = "\n" * (self._form.first_line - 1 + empty) + source
        return super().ast_parse(source, filename, symbol)


class _History(HistoryManager):
    """`In`, `_i` and `%history`, of the last inputs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._last = ["", "", ""]

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        """Keep an input under its number, and forget an old one."""
        raw = (source if source_raw is None else source_raw).rstrip("\n")
        for inputs, text in ((self.input_hist_parsed, source.rstrip("\n")), (self.input_hist_raw, raw)):
            inputs.extend([""] * (line_num - len(inputs)))
            inputs.append(text)
            if line_num > _KEPT_INPUTS:
                inputs[line_num - _KEPT_INPUTS] = ""
        self.shell.push(dict(zip(("_i", "_ii", "_iii"), self._last, strict=True)), interactive=False)
        self._last = [raw, *self._last[:2]]


class _DisplayHook(DisplayHook):
    """Publishes the value of an input."""

    publish: Any = None

    def __call__(self, result: Any = None) -> None:
        self.check_for_underscore()
        if result is None or self.quiet():
            return
        self.update_user_ns(result)
        self.fill_exec_result(result)
        self.publish(result)

    def quiet(self) -> bool:
        """Whether a semicolon hides the value."""
        with contextlib.suppress(tokenize.TokenError, SyntaxError):
            return bool(super().quiet())
        return False

    def cull_cache(self) -> None:
        """Forget the oldest value of `Out`."""
        outputs = self.shell.user_ns["_oh"]
        oldest = min(outputs)
        del outputs[oldest]
        self.shell.user_ns.pop(f"_{oldest}", None)


class _DisplayPublisher(DisplayPublisher):
    """Publishes what `display` shows."""

    def publish(
        self, data: Any, metadata: Any = None, *_: Any, transient: Any = None, update: bool = False, **__: Any
    ) -> None:
        """Show a MIME bundle."""
        display_id = (transient or {}).get("display_id")
        self.shell.displays.publish(data, metadata, display_id=display_id, is_update=update)

    def clear_output(self, wait: bool = False) -> None:
        """Clear what was shown."""
        self.shell.displays.clear(wait)


class _Formatter(DisplayFormatter):
    """Asks for all representations, and explains those that fail."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked = threading.local()

    @runs_user_code
    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Bundle:
        """Return the representations of a value."""
        outer, self._asked.failures = getattr(self._asked, "failures", None), []
        try:
            data, metadata = super().format(obj, include, exclude)
            failures = self._asked.failures
        except BaseException as error:  # noqa: BLE001 - user code
            data, metadata, failures = {}, {}, [error]
        finally:
            self._asked.failures = outer
        return _explain_all(obj, data, failures), metadata

    def takes(self, error: BaseException) -> bool:
        """Whether the error is that of a representation."""
        failures = getattr(self._asked, "failures", None)
        if failures is None:
            return False
        failures.append(error)
        return True


def _explain_all(value: Any, data: dict[str, Any], failures: list[BaseException]) -> dict[str, Any]:
    """Explain the failures, and have something shown in place of text that is not there."""
    for error in failures if "text/plain" in data else failures[:-1]:
        explain(f"a representation of a {type(value).__name__}", error)
    if failures and "text/plain" not in data:
        return {"text/plain": stand_in(value, failures[-1]), **data}
    return data
