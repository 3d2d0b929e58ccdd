"""Where code comes from that was not just typed: a place in a file, or a whole file that runs as a program."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.contract import MAX_CODE_CHARS, Space
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen, fields_of

_MAX_FIRST_LINE = 10_000_000


class Origin(Frozen):
    """The place that code has in a file.

    Attributes:
        file: the file that tracebacks and breakpoints name.
        first_line: the line of the file in which the code begins.
    """

    file: str
    first_line: int = 1

    def __post_init__(self) -> None:
        _require_path(self.file, "file")
        if type(self.first_line) is not int or not 1 <= self.first_line <= _MAX_FIRST_LINE:
            raise RequestError(f"first_line must be a number from 1 to {_MAX_FIRST_LINE:,}")


class Program(Frozen):
    """A file that the worker is to read and run as ``__main__``.

    Attributes:
        path: of the file, as the worker sees it.
        arguments: what the program finds in ``sys.argv`` behind its name.
        cwd: its working directory, None for the worker's.
        namespace: one of `Space`.
        reload: whether modules of the user's that have changed on disk are imported anew before it runs.
    """

    path: str
    arguments: tuple[str, ...] = ()
    cwd: str | None = None
    namespace: str = Space.CURRENT
    reload: bool = False

    def __post_init__(self) -> None:
        _require_path(self.path, "path")
        for argument in self.arguments:
            _require_text(argument, "each argument")
        if sum(map(len, self.arguments)) > MAX_CODE_CHARS:
            raise RequestError(f"the arguments are too long together; the limit is {MAX_CODE_CHARS:,} characters")
        if self.cwd is not None:
            _require_text(self.cwd, "cwd")
        if self.namespace not in (Space.CURRENT, Space.FRESH):
            _require_text(self.namespace, "namespace")
            raise RequestError(f"unknown namespace {self.namespace[:100]!r}; choose 'current' or 'fresh'")
        if type(self.reload) is not bool:
            raise RequestError(f"reload must be True or False, not {type(self.reload).__name__}")


Source = Origin | Program


def describe_source(source: Source | None) -> dict[str, Any] | None:
    """The same by name, as JSON can carry it."""
    if source is None:
        return None
    fields = fields_of(source)
    if not fields.get("reload", True):
        del fields["reload"]  # kernels of an earlier release know none
    return fields


def read_source(described: Any) -> Source | None:
    """Read what `describe_source` made, or pairs of name and value; None where there is none.

    Raises:
        RequestError: it is neither an origin nor a program.
    """
    if described is None or described in ((), {}):
        return None
    try:
        fields = dict(described)
        if "path" not in fields:
            return Origin(**fields)
        arguments = fields.pop("arguments", ())
        if not isinstance(arguments, (list, tuple)):
            raise RequestError("arguments must be a list of str")
        return Program(**fields, arguments=tuple(arguments))
    except (TypeError, ValueError):
        known = " or ".join(", ".join(kind.__match_args__) for kind in (Origin, Program))
        raise RequestError(f"a source is made of pairs of name and value; the names are {known}") from None


def _require_path(value: object, what: str) -> None:
    _require_text(value, what)
    if not value:
        raise RequestError(f"{what} must not be empty")


def _require_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise RequestError(f"{what} must be str, not {type(value).__name__}")
    if len(value) > MAX_CODE_CHARS or "\0" in value:
        raise RequestError(f"{what} is too long, or has a null character")
    require_encodable(value, what)
