"""The engine of IPython: magics, ``!``, ``?``, its formatters, display functions and tracebacks; the events are ours.

IPython's shell runs what is on the main lane. A side lane gets its input transformed and its values formatted by the
shell, but runs beside it: the shell knows only one input at a time.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any

import IPython
from IPython.core import display_functions, inputtransformer2
from IPython.core.compilerop import code_name
from IPython.core.error import UsageError
from IPython.core.formatters import FormatterWarning
from IPython.core.interactiveshell import InteractiveShell

from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.settings import Face
from rpyc_kernel.system.originals import threading
from rpyc_kernel.worker import forks, leaving
from rpyc_kernel.worker.bundles import Bundle, clean_bundle
from rpyc_kernel.worker.capture import printing_execution
from rpyc_kernel.worker.engine import Emit
from rpyc_kernel.worker.engines.displays import add_builtins
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.engines.shell import find_loop_runner, make_shell
from rpyc_kernel.worker.interrupts import Interrupts, pass_over, runs_user_code
from rpyc_kernel.worker.user_frames import enters_user_code, hide

if TYPE_CHECKING:
    from rpyc_kernel.core.introspection import CodeState

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
_INLINE = "module://matplotlib_inline.backend_inline"


class IPythonEngine(PlainEngine):
    """Runs code in IPython's shell, in a module named ``__main__``; see `PlainEngine`."""

    name = "ipython"

    def __init__(
        self, emit: Emit, interrupts: Interrupts, kept_values: int, *, profile: bool = False, face: str = Face.TERMINAL
    ) -> None:
        super().__init__(emit, interrupts, kept_values, profile=profile)
        hide(_IPYTHON, "<decorator-gen")
        enters_user_code(InteractiveShell.run_code)
        pass_over(*(f"{_IPYTHON}core{os.sep}{name}.py" for name in _MACHINERY))
        _prepare_warnings_and_plots()
        self._shell = make_shell(
            self._module, self._displays, self._sources, self.values, self._show_error, face=face, reads=profile
        )
        leaving.keep_for_last(self._shell.atexit_operations)
        self.values.forgotten = self._forget
        self._is_notebook = face == Face.NOTEBOOK
        self._transformers = inputtransformer2.TransformerManager()  # for threads other than the main one
        self._main_thread = threading.get_ident()

    def _offer(self) -> None:
        add_builtins(
            display=display_functions.display,
            update_display=display_functions.update_display,
            clear_output=display_functions.clear_output,
        )

    def start_up(self) -> None:
        """Run what the user's profile wants run, or else the file for interactive work."""
        if self._shell.application is None:
            super().start_up()
            return
        try:
            self._read_profile()
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too
            self._tell(error)

    @runs_user_code
    def _read_profile(self) -> None:
        self._shell.start_up()

    def is_complete(self, code: str) -> CodeState:
        """Say whether code could run as it is, as IPython sees it."""
        from rpyc_kernel.core.introspection import CodeState, Completeness

        if "\0" in code:  # the tokenizer of Python 3.12 and later takes it for an end that is missing
            return CodeState(Completeness.INVALID)
        try:
            status, indent = self._transformers.check_complete(code)
        except Exception:  # noqa: BLE001 - what the tokenizer makes of garbage
            status, indent = "invalid", 0
        return CodeState(status, " " * (indent or 0))

    def show(self, execution: int, value: Any) -> None:
        """Publish the value of a last expression, and keep it; see `PlainEngine.show`."""
        if value is not None:
            self._show(execution, value, self._format)

    @property
    def _is_on_main_lane(self) -> bool:
        return threading.get_ident() == self._main_thread

    def _format(self, value: Any) -> Bundle:
        return clean_bundle(*self._shell.display_formatter.format(value))

    def _name(self, execution: int, count: int | None, code: str) -> str:
        """In a notebook as IPython names inputs: profilers, caches and the like know cells by that."""
        if count is None or not self._is_notebook:
            return super()._name(execution, count, code)
        return str(code_name(code, count))

    def _run_code(self, execution: int, code: str, file: str, first_line: int = 1) -> str | Awaitable[str]:
        if not self._is_on_main_lane:
            return super()._run_code(execution, self._transformers.transform_cell(code), file, first_line)
        count = self.values.count_of(execution)
        self._shell.begin(count, code, file, first_line, lambda value: self._show(execution, value, self._format))
        try:
            transformed, failure = self._transform(code)
        except BaseException as error:  # noqa: BLE001 - an interrupt that came with the code
            return self.report(execution, error, has_frames=False)
        awaits = self._awaits(code, transformed, failure)
        try:
            runner = find_loop_runner(self._shell) if awaits else _run_to_end
        except UsageError as error:
            self._shell.show_usage_error(error)
            return Outcome.ERROR
        running = self._run_cell(execution, code, transformed, failure)
        return running if runner is None else self._run_with(runner, running)

    @runs_user_code
    def _run_with(self, runner: Any, running: Coroutine[Any, Any, str]) -> str:
        return str(runner(running))

    def _awaits(self, code: str, transformed: str, failure: Any) -> bool:
        if (
            "await" not in transformed and "async" not in transformed
        ):  # to find out otherwise is to compile it once more
            return False
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
        shell = self._shell
        is_input = self.values.count_of(execution) is not None
        was_compiled = True
        error: BaseException | None
        try:
            try:
                result = await shell.run_cell_async(
                    code, store_history=is_input, transformed_cell=transformed, preprocessing_exc_tuple=failure
                )
            finally:
                shell.events.trigger("post_execute")
            shell.events.trigger("post_run_cell", result)
            was_compiled = result.error_before_exec is None
            error = result.error_in_exec if was_compiled else result.error_before_exec
        except BaseException as raised:  # noqa: BLE001 - an interrupt; or the shell fails at a hostile exception
            error = raised if shell.failed is None else shell.failed
        shown, shell.failed, shell.shown = shell.shown, None, None
        if error is None:
            # What was shown and not raised fails nothing; but an interrupt of a `%run` was meant for the whole.
            return Outcome.INTERRUPTED if issubclass(type(shown), KeyboardInterrupt) else Outcome.OK
        if shown is not None and shown is error:
            return self._outcome_of(shown)
        if shell.is_shown_elsewhere(error):
            return self.report(execution, error, rich=[])
        return self.report(execution, error, has_frames=was_compiled and type(error) is not UsageError)

    # ------------------------------------------------------------------ what the shell calls

    def _show_error(self, error: BaseException, rich: list[str] | None, has_frames: bool) -> None:
        """Show an exception, whether or not the execution fails by it."""
        execution = printing_execution()
        if forks.is_child():
            self._shell.shown = None  # it ends with what it fails by, and that is told then
        elif execution:
            self.report(execution, error, has_frames=has_frames, rich=rich)
        else:
            self._tell(error, has_frames)

    def _forget(self, count: int) -> None:
        """Let go of a value that is not kept any more."""
        for names in (self.namespace, self._shell.user_ns_hidden):
            names.pop(f"_{count}", None)


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
