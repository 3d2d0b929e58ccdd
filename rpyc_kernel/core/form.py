"""How code is run that was not just typed: a cell under the name of its file, or a whole file as a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rpyc_kernel.core.contract import MAX_CODE_CHARS, Space
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import RequestError

_MAX_FIRST_LINE = 10_000_000


@dataclass(frozen=True)
class Form:
    """What a request says about its code beside the code itself.

    Attributes:
        file: the file that tracebacks and breakpoints name.
        first_line: the line of the file in which the code begins.
        arguments: what the program finds in ``sys.argv`` behind its name; None for code that is no program.
        cwd: the program's working directory, None for the worker's.
        namespace: one of `Space`, for a program.
    """

    file: str
    first_line: int = 1
    arguments: tuple[str, ...] | None = None
    cwd: str | None = None
    namespace: str = Space.CURRENT

    def __post_init__(self) -> None:
        _require_text(self.file, "file")
        if not self.file:
            raise RequestError("file must not be empty")
        if type(self.first_line) is not int or not 1 <= self.first_line <= _MAX_FIRST_LINE:
            raise RequestError(f"first_line must be a number from 1 to {_MAX_FIRST_LINE:,}")
        for argument in self.arguments or ():
            _require_text(argument, "each argument")
        if sum(map(len, self.arguments or ())) > MAX_CODE_CHARS:
            raise RequestError(f"the arguments are too long together; the limit is {MAX_CODE_CHARS:,} characters")
        if self.cwd is not None:
            _require_text(self.cwd, "cwd")
        _require_text(self.namespace, "namespace")
        if self.namespace not in (Space.CURRENT, Space.FRESH):
            raise RequestError(f"unknown namespace {self.namespace!r}; choose 'current' or 'fresh'")

    @property
    def is_input(self) -> bool:
        """Whether the code stands in no file."""
        return self.file.startswith("<")

    @property
    def is_program(self) -> bool:
        """Whether the worker is to read the file and run it as a program."""
        return self.arguments is not None

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can carry it."""
        return {**asdict(self), "arguments": None if self.arguments is None else list(self.arguments)}

    @classmethod
    def read(cls, told: Any) -> Form | None:
        """Read a form from a dict, or from pairs of name and value; None where there is none.

        Raises:
            RequestError: it is not a form.
        """
        if told is None or told in ((), {}):
            return None
        try:
            fields = dict(told)
            arguments = fields.pop("arguments", None)
            if arguments is not None and not isinstance(arguments, (list, tuple)):
                raise RequestError("arguments must be a list of str")
            return cls(**fields, arguments=None if arguments is None else tuple(arguments))
        except (TypeError, ValueError):
            known = ", ".join(cls.__dataclass_fields__)
            raise RequestError(f"a form is made of pairs of name and value; the names are {known}") from None


def form_of(queued: Mapping[str, Any]) -> Form | None:
    """The form of an execution that a journal tells of, which may be older than forms."""
    return Form.read(queued.get("form"))


def was_input(queued: Mapping[str, Any]) -> bool:
    """Whether an execution that a journal tells of is counted; the journal may be older than counts."""
    return queued.get("call") is None and queued.get("is_input") is not False


def _require_text(value: object, what: str) -> None:
    if not isinstance(value, str):
        raise RequestError(f"{what} must be str, not {type(value).__name__}")
    if len(value) > MAX_CODE_CHARS or "\0" in value:
        raise RequestError(f"{what} is too long, or has a null character")
    require_encodable(value, what)
