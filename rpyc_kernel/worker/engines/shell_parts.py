"""The parts of IPython's shell that keep and publish: sources, history, the last values, displays, representations."""

from __future__ import annotations

import codeop
import contextlib
import fnmatch
import re
import tokenize
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.formatters import DisplayFormatter
from IPython.core.history import HistoryManager
from IPython.core.inputtransformer2 import ESCAPE_SINGLES, TransformerManager
from IPython.core.payload import PayloadManager

from rpyc_kernel.system.originals import threading
from rpyc_kernel.worker.bundles import Bundle, explain, stand_in
from rpyc_kernel.worker.interrupts import runs_user_code
from rpyc_kernel.worker.sources import Sources

_KEPT_INPUTS = 1000
_TEXT = "text/plain"
_PLAIN = frozenset((bool, bytes, complex, dict, float, frozenset, int, list, range, set, str, tuple))
"""Types that have no representation but text, and whose values can be given none."""
_ANYWHERE = re.compile("[%!?]")
_AT_BEGINNING = tuple(ESCAPE_SINGLES)
_KNOWN = TransformerManager()
PYTHON_LINE = re.compile(r"(?!In \[)([^\W\d][\w.*]*)[^%!?\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]*(?<!# PYTHON-MODE)")
"""One line in which nothing but its first word, the group, can mean something to IPython."""


class Compiler(CachingCompiler):
    """Names inputs as we do, and counts their lines from where they stand in a file."""

    _code: str | None = None
    _file, _first_line = "<In 0>", 1

    def __init__(self) -> None:
        super().__init__()
        self._sources = Sources()  # of what runs before the first input
        # With this flag, code that is not finished would only be called that, and not told what it lacks.
        self.flags &= ~getattr(codeop, "PyCF_ALLOW_INCOMPLETE_INPUT", 0)

    def begin(self, code: str, file: str, first_line: int, sources: Sources) -> None:
        """Take up an input."""
        self._code, self._file, self._first_line, self._sources = code, file, first_line, sources

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """Return the name of an input; that of code which runs inside of it is IPython's."""
        if raw_code == self._code:
            return self._file
        return str(super().get_code_name(raw_code, transformed_code, number))

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """Remember the lines of code under its name; returns the name."""
        if raw_code is not None and raw_code == self._code:
            name = self._file
            self._sources.remember(name, raw_code, self._first_line)
            if name.startswith("<"):
                self._filename_map[name] = number  # tracebacks call it `Cell In[number]`
        else:
            name = str(super().cache(transformed_code, number, raw_code))
            self._sources.keep(name)
        while len(self._filename_map) > _KEPT_INPUTS:
            del self._filename_map[next(iter(self._filename_map))]
        return name

    def ast_parse(self, source: str, filename: str = "<unknown>", symbol: str = "exec") -> Any:
        """Parse code so that its lines have the numbers of the file."""
        if filename == self._file and self._code is not None:
            # IPython takes empty lines off the beginning.
            begun = len(self._code) - len(self._code.lstrip())
            empty = self._code[:begun].count("\n") if not source[:1].isspace() else 0
            source = "\n" * (self._first_line - 1 + empty) + source
        return super().ast_parse(source, filename, symbol)


class Transformers(TransformerManager):
    """Makes Python of what IPython adds to it."""

    @property
    def is_as_known(self) -> bool:
        """Whether nobody has added to what IPython itself looks for."""
        return bool(
            self.cleanup_transforms == _KNOWN.cleanup_transforms
            and self.line_transforms == _KNOWN.line_transforms
            and self.token_transformers == _KNOWN.token_transformers
        )

    def do_token_transforms(self, lines: list[str]) -> list[str]:
        """Leave code as it is that has nothing of that: to look for it takes longer than all else, line by line."""
        if self.token_transformers == _KNOWN.token_transformers and not any(map(_may_be_more_than_python, lines)):
            return lines
        transformed: list[str] = super().do_token_transforms(lines)
        return transformed


def _may_be_more_than_python(line: str) -> bool:
    return line.lstrip().startswith(_AT_BEGINNING) or _ANYWHERE.search(line) is not None


class History(HistoryManager):
    """`In`, `_i`, `%history`, `%recall` and `%rerun`, of the last inputs; all of them are in the journal."""

    input_hist_parsed: Any = None  # no traits, see `Shell`
    input_hist_raw: Any = None

    def __init__(self, **options: Any) -> None:
        self.input_hist_parsed, self.input_hist_raw = [""], [""]
        self._last = ["", "", ""]
        super().__init__(**options)

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        """Keep an input under its number, and forget an old one."""
        raw = (source if source_raw is None else source_raw).rstrip("\n")
        for inputs, text in ((self.input_hist_parsed, source.rstrip("\n")), (self.input_hist_raw, raw)):
            inputs.extend([""] * (line_num - len(inputs)))
            inputs.append(text)
            if line_num > _KEPT_INPUTS:
                inputs[line_num - _KEPT_INPUTS] = ""
        getattr(self, "exceptions", {}).pop(line_num - _KEPT_INPUTS, None)  # IPython 8 keeps none
        shell = self.shell
        for namespace in (shell.user_ns, shell.user_ns_hidden):
            namespace["_i"], namespace["_ii"], namespace["_iii"] = self._last
            namespace[f"_i{line_num}"] = raw
            namespace.pop(f"_i{line_num - _KEPT_INPUTS}", None)
        self._last = [raw, *self._last[:2]]

    # IPython looks for these in its database, which is not there.

    def get_tail(
        self, n: int | None = 10, raw: bool = True, output: bool = False, include_latest: bool = False
    ) -> list[Any]:
        """The last inputs, as a rule without the one that asks."""
        kept = [line for line in self.get_range(raw=raw, output=output) if self.input_hist_raw[line[1]]]
        if not include_latest:
            del kept[-1:]
        return kept[max(0, len(kept) - (10 if n is None else n)) :]

    def search(
        self,
        pattern: str = "*",
        raw: bool = True,
        search_raw: bool = True,
        output: bool = False,
        n: int | None = None,
        unique: bool = False,
    ) -> list[Any]:
        """The last inputs that a pattern with wildcards fits; of equal ones, if they are to be ``unique``, the last."""
        searched = self.input_hist_raw if search_raw else self.input_hist_parsed
        fitting = [number for number, text in enumerate(searched) if text and fnmatch.fnmatchcase(text, pattern)]
        if unique:
            fitting = sorted({searched[number]: number for number in fitting}.values())
        wanted = set(fitting if n is None else fitting[max(0, len(fitting) - n) :])
        return [line for line in self.get_range(raw=raw, output=output) if line[1] in wanted]


class Hook(DisplayHook):
    """Publishes the value of an input.

    Attributes:
        publish: does so; None before the first input.
        is_counted: whether it is one for `Out`, or of a client that wants none kept.
    """

    exec_result = None  # IPython's, which makes a trait of it
    publish: Any = None
    is_counted = True

    def __call__(self, result: Any = None) -> None:
        """Publish and keep a value."""
        self.check_for_underscore()
        if result is None or self.quiet():
            return
        if self.is_counted:
            self.update_user_ns(result)
        self.fill_exec_result(result)
        if self.publish is not None:  # it is what runs before all inputs
            self.publish(result)

    def quiet(self) -> bool:
        """Whether a semicolon hides the value."""
        if ";" not in self.shell.history_manager.input_hist_parsed[-1]:  # IPython reads all tokens to find out
            return False
        with contextlib.suppress(tokenize.TokenError, SyntaxError):
            return bool(super().quiet())
        return False

    def cull_cache(self) -> None:
        """Forget nothing: the values know themselves how many they are to be."""


class Publisher(DisplayPublisher):
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


class Payloads(PayloadManager):
    """What code asks of the page behind its answer."""

    def write_payload(self, data: dict[str, Any], single: bool = True) -> None:
        """Ask the page to show a text beside the notebook, or to propose what to run next; nothing else is passed on.

        What is ``single`` takes the place of what was asked before of the same source.
        """
        if not isinstance(data, dict):
            raise TypeError(f"each payload must be a dict, not {type(data).__name__}")
        match data.get("source"):
            case "set_next_input":
                self.parent.displays.propose(data["text"], data.get("replace", False), is_further=not single)
            case "page":
                self.parent.displays.page(data["data"])
            case source:
                raise NotImplementedError(
                    f"payloads can be of the sources 'set_next_input' and 'page', not {source!r}; 'display' shows "
                    "something to all clients, and a comm sends it to a page"
                )


class Formatter(DisplayFormatter):
    """Asks for all representations, and explains those that fail."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked = threading.local()

    @runs_user_code
    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> Bundle:
        """Return the representations of a value."""
        outer, self._asked.failures = getattr(self._asked, "failures", None), []
        try:
            data, metadata = super().format(obj, include or self._narrow(obj), exclude)
            failures = self._asked.failures
        except BaseException as error:  # noqa: BLE001 - user code
            data, metadata, failures = {}, {}, [error]
        finally:
            self._asked.failures = outer
        return _explain_all(obj, data, failures), metadata

    def _narrow(self, obj: Any) -> set[str] | None:
        """The formats that there may be of a value; None for all, to ask each of which takes as long as all else."""
        if type(obj) not in _PLAIN or _has_own(self.mimebundle_formatter):
            return None
        return {_TEXT, *(name for name, formatter in self.formatters.items() if _has_own(formatter))}

    def takes(self, error: BaseException) -> bool:
        """Whether the error is that of a representation."""
        failures = getattr(self._asked, "failures", None)
        if failures is None:
            return False
        failures.append(error)
        return True


def _has_own(formatter: Any) -> bool:
    """Whether somebody has told it of values, beside what these say of themselves."""
    return bool(formatter.type_printers or formatter.deferred_printers or formatter.singleton_printers)


def _explain_all(value: Any, data: dict[str, Any], failures: list[BaseException]) -> dict[str, Any]:
    """Explain the failures, and have something shown in place of text that is not there."""
    for error in failures if _TEXT in data else failures[:-1]:
        explain(f"a representation of a {type(value).__name__}", error)
    if failures and _TEXT not in data:
        return {_TEXT: stand_in(value, failures[-1]), **data}
    return data
