"""The engine of the standard library: compile, run, show the last value, show errors with the user's frames only."""

from __future__ import annotations
import __future__

import ast
import asyncio
import builtins
import functools
import inspect
import operator
import os
import re
import sys
import tokenize
from collections.abc import Awaitable, Callable
from types import CodeType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from rpyc_kernel.core.contract import Kind, Outcome, Space
from rpyc_kernel.core.source import Program, Source
from rpyc_kernel.settings import Face
from rpyc_kernel.worker import forks, imports
from rpyc_kernel.worker.bundles import Bundle, literal_of, make_bundle
from rpyc_kernel.worker.engine import Emit
from rpyc_kernel.worker.engines import programs
from rpyc_kernel.worker.engines.displays import Displays, add_builtins
from rpyc_kernel.worker.error_reports import describe_error, fit_parts, keep_for_debugger
from rpyc_kernel.worker.interrupts import Interrupts, runs_user_code
from rpyc_kernel.worker.sources import Sources
from rpyc_kernel.worker.user_frames import enters_user_code
from rpyc_kernel.worker.values import Values

if TYPE_CHECKING:
    from rpyc_kernel.core.introspection import CodeState

_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FUTURE_MASK = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


_IPYTHON_SYNTAX = re.compile(r"^\s*(?:%%?[a-zA-Z]|![\w./~]|\?\w)|=\s*(?:%[a-zA-Z]|![\w./~])|[\w)\]]\?{1,2}\s*$")
_IPYTHON_HINT = (
    f"'%', '!' and '?' are IPython's: install it ({sys.executable} -m pip install ipython) "
    "and start a kernel with the engine 'ipython'"
)


class PlainEngine:
    """Runs code in a module named ``__main__``; with a ``profile``, `start_up` runs what ``PYTHONSTARTUP`` names."""

    name = "plain"

    def __init__(
        self, emit: Emit, interrupts: Interrupts, kept_values: int, *, profile: bool = False, face: str = Face.TERMINAL
    ) -> None:
        self.namespace = self._make_namespace()
        self.values = Values(kept_values)
        self._has_profile = profile
        self._emit = emit
        self.interrupts = interrupts
        self._sources = Sources()
        self._displays = Displays(emit)
        self._future_flags = 0
        self._offer()

    def _make_namespace(self) -> dict[str, Any]:
        self._module = ModuleType("__main__", "The namespace that all clients of this kernel share.")
        self._module.__builtins__ = sys.modules["builtins"]  # type: ignore[attr-defined]
        sys.modules["__main__"] = self._module
        imports.note_times()  # a program that is not the kernel's own keeps its finders as they are
        return self._module.__dict__

    def _offer(self) -> None:
        """Give user code what it finds in no module."""
        self._displays.install()
        add_builtins(Out=MappingProxyType(self.values))

    def start_up(self) -> None:
        """Run the user's file for interactive work as `python` does, if that is wanted; on the main thread."""
        file = os.environ.get("PYTHONSTARTUP")
        if not self._has_profile or not file:
            return
        try:
            with tokenize.open(file) as opened:
                code = compile(opened.read(), file, "exec", dont_inherit=True)
        except BaseException as error:  # noqa: BLE001 - no file that is out of order may cost the user the kernel
            self._tell(error, has_frames=False)
            return
        self._future_flags |= code.co_flags & _FUTURE_MASK
        try:
            with programs.namespace_of(Space.CURRENT, file, self.namespace):
                self._execute(code, self.namespace)
        except BaseException as error:  # noqa: BLE001 - whatever user code raises, SystemExit too
            self._tell(error)

    @staticmethod
    def _tell(error: BaseException, has_frames: bool = True) -> None:
        """Show an exception that belongs to no execution."""
        sys.stderr.write(describe_error(error, has_frames)["traceback"])

    def run(
        self, execution: int, code: str, source: Source | None = None, count: int | None = None
    ) -> str | Awaitable[str]:
        """Run code and publish what comes of it; returns its outcome, or an awaitable of it if the code awaits.

        ``count`` is which input it is; None is the one of what nobody would call an input.
        """
        if count is not None:
            self.values.expect(execution, count)
        if isinstance(source, Program):
            return self._run_program(execution, source)
        if source is None:
            return self._run_code(execution, code, self._name(execution, count, code))
        return self._run_code(execution, code, source.file, source.first_line)

    def _name(self, execution: int, count: int | None, code: str) -> str:
        """The file that code is said to be in which stands in none."""
        return f"<execution {execution}>" if count is None else f"<In {count}>"

    def call(self, execution: int, function: Callable[[], Any]) -> str:
        """Call a function as if it were the last expression of an execution."""
        try:
            self.show(execution, _call(function))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is a result
            return self.report(execution, error)
        return Outcome.OK

    def is_complete(self, code: str) -> CodeState:
        """Say whether code could run as it is; on other threads, while other code runs."""
        from rpyc_kernel.worker.completeness import judge

        return judge(code)

    # ------------------------------------------------------------------ what comes of it

    def show(self, execution: int, value: Any) -> None:
        """Publish the value of a last expression, and keep it for whoever asks."""
        if value is None:
            return
        if self.values.count_of(execution) is not None:
            self._remember(value)
        self._show(execution, value, make_bundle)

    def _remember(self, value: Any) -> None:
        builtins._ = value  # type: ignore[attr-defined]

    def _show(self, execution: int, value: Any, make: Callable[[Any], Bundle]) -> None:
        self.values.keep(execution, value)
        data, metadata = make(value)
        if data:
            payload = {"data": data, "metadata": metadata, "literal": literal_of(value)}
            self._emit(Kind.RESULT, execution, payload)

    def report(
        self, execution: int, error: BaseException, has_frames: bool = True, rich: list[str] | None = None
    ) -> str:
        """Publish an exception that user code raised; returns the outcome. A forked child ends with it.

        The compiler's own frames are of no interest. ``rich`` is how it is shown where there are colours, in parts;
        empty if user code has shown it by itself.
        """
        if forks.is_child():
            raise error
        keep_for_debugger(error)
        payload = describe_error(error, has_frames)
        if self._is_cancelled(error):
            payload["ename"], payload["evalue"], rich = "KeyboardInterrupt", "", None
        self._emit(Kind.ERROR, execution, {**payload, "rich": None if rich is None else fit_parts(rich)})
        return self._outcome_of(error)

    def _outcome_of(self, error: BaseException) -> str:
        # isinstance would also ask the exception itself, which may be hostile
        is_interrupt = issubclass(type(error), KeyboardInterrupt) or self._is_cancelled(error)
        return Outcome.INTERRUPTED if is_interrupt else Outcome.ERROR

    def _is_cancelled(self, error: BaseException) -> bool:
        return issubclass(type(error), asyncio.CancelledError) and self.interrupts.was_cancelled

    # ------------------------------------------------------------------ inputs

    def _run_code(self, execution: int, code: str, file: str, first_line: int = 1) -> str | Awaitable[str]:
        self._sources.remember(file, code, first_line)
        self.namespace.pop("__warningregistry__", None)  # or the same line of another input would not warn again
        try:
            body, last = self._compile("\n" * (first_line - 1) + code, file)
        except BaseException as error:  # noqa: BLE001 - MemoryError, RecursionError … from the compiler are results
            if type(error) is SyntaxError and _IPYTHON_SYNTAX.search(error.text or ""):
                error.msg += f"; {_IPYTHON_HINT}"
            return self.report(execution, error, has_frames=False)
        if any(part is not None and part.co_flags & inspect.CO_COROUTINE for part in (body, last)):
            return self._run_awaiting(execution, body, last)
        try:
            if body is not None:
                self._execute(body, self.namespace)
            if last is not None:
                self.show(execution, self._execute(last, self.namespace))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is a result
            return self.report(execution, error)
        return Outcome.OK

    async def _run_awaiting(self, execution: int, body: CodeType | None, last: CodeType | None) -> str:
        try:
            if body is not None:
                await self._step(body)
            if last is not None:
                self.show(execution, await self._step(last))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is a result
            return self.report(execution, error)
        return Outcome.OK

    @runs_user_code
    @enters_user_code
    async def _step(self, code: CodeType) -> Any:
        value = eval(code, self.namespace)  # noqa: S307 - running code is the purpose
        return await value if code.co_flags & inspect.CO_COROUTINE else value

    def _compile(self, code: str, filename: str) -> tuple[CodeType | None, CodeType | None]:
        """Compile to the statements and the last expression, either of which may be missing."""
        flags = _FLAGS | self._future_flags
        tree = compile(code, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        last: CodeType | None = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            expression = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
            last = compile(expression, filename, "eval", flags, dont_inherit=True)
        body = compile(tree, filename, "exec", flags, dont_inherit=True) if tree.body else None
        if body is not None:
            self._future_flags |= body.co_flags & _FUTURE_MASK
        return body, last

    # ------------------------------------------------------------------ programs

    def _run_program(self, execution: int, program: Program) -> str:
        is_compiled = is_shown = False
        try:
            with programs.surroundings(program) as path:
                self._sources.forget(path)
                compiled = programs.read(path)
                is_compiled = True
                if program.reload:
                    _reload(self.namespace)
                with programs.namespace_of(
                    program.namespace, compiled.file, self.namespace, compiled.package
                ) as namespace:
                    try:
                        self._execute(compiled.code, namespace)
                    except BaseException as error:
                        is_shown = programs.call_hook(error)
                        raise
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is a result
            if is_compiled and programs.is_success(error):
                return Outcome.OK
            return self.report(execution, error, has_frames=is_compiled, rich=[] if is_shown else None)
        return Outcome.OK

    @runs_user_code
    @enters_user_code
    def _execute(self, code: CodeType, namespace: dict[str, Any]) -> Any:
        return eval(code, namespace)  # noqa: S307 - running code is the purpose


@runs_user_code
@enters_user_code
def _reload(namespace: dict[str, Any]) -> None:
    """Import anew what the user has changed, and tell what it was."""
    from rpyc_kernel.worker.reloading import reload_changed

    anew, gone = reload_changed(namespace)
    told = {"Reloaded modules": anew, "Modules that cannot be found any more": gone}
    if sys.stderr is not None:
        sys.stderr.write("".join(f"{what}: {', '.join(names)}\n" for what, names in told.items() if names))


@runs_user_code
@enters_user_code
def _call(function: Callable[[], Any]) -> Any:
    return function()
