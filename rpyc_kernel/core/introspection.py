"""What looking into a kernel finds: frozen values, which cross the wire as one JSON text, the fields by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from rpyc_kernel.core.json_text import make_encoder

MAX_MATCHES: Final = 500
MAX_REFERENCES: Final = 1000
MAX_CELL_CHARS: Final = 200
"""Of what a cell shows; one that has more ends in three dots."""
MAX_CELLS: Final = 10_000
"""The most cells in one answer."""


class Completeness:
    """Whether code could run as it is."""

    COMPLETE: Final = "complete"
    INCOMPLETE: Final = "incomplete"
    INVALID: Final = "invalid"


@dataclass(frozen=True)
class Completion:
    """One thing that could stand at the cursor.

    Attributes:
        text: what to put there.
        kind: ``module``, ``class``, ``function``, ``property``, ``instance``, ``keyword``, ``param``, ``key``,
            ``magic`` or ``path``.
        origin: ``live`` if the object is there, ``static`` if the source only promises it.
    """

    text: str
    kind: str
    origin: str = "live"


@dataclass(frozen=True)
class Completions:
    """What could stand at the cursor, and what of the code each would replace.

    Attributes:
        start: the first character to replace.
        end: the character after the last one to replace.
        items: sorted by text, those that begin with an underscore last.
        is_whole: False if there are more, or if the source could not be read in the time allowed.
    """

    start: int
    end: int
    items: tuple[Completion, ...] = field(default=(), metadata={"of": Completion})
    is_whole: bool = True

    @property
    def matches(self) -> tuple[str, ...]:
        """The texts alone."""
        return tuple(item.text for item in self.items)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature.

    Attributes:
        name: without stars.
        text: as it stands in the signature.
        kind: as `inspect.Parameter.kind` is called, in lower case: ``positional_or_keyword`` …
    """

    name: str
    text: str
    kind: str


@dataclass(frozen=True)
class Signature:
    """How something is called.

    Attributes:
        name: what is called.
        text: the parameters and the return annotation: ``(path, *, mode=511) -> int``.
        parameters: in order.
        active: which parameter the cursor is in; None if it is in none.
        doc: the documentation.
    """

    name: str
    text: str
    parameters: tuple[Parameter, ...] = field(default=(), metadata={"of": Parameter})
    active: int | None = None
    doc: str = ""


@dataclass(frozen=True)
class Inspection:
    """What is known of a name. It is true if the name is there.

    Attributes:
        name: what was asked for.
        found: whether it is there.
        type: the name of its type.
        preview: its value in one short line.
        signature: how it is called, "" where it is not.
        doc: its documentation.
        source: its source, "" where there is none.
        file: where it is defined, "" where that is unknown; a cell's file is ``<In number>``.
        line: the line in the file, from 1; 0 where that is unknown.
    """

    name: str
    found: bool = False
    type: str = ""
    preview: str = ""
    signature: str = ""
    doc: str = ""
    source: str = ""
    file: str = ""
    line: int = 0

    def __bool__(self) -> bool:
        return self.found


@dataclass(frozen=True)
class Definition:
    """Where something is defined.

    Attributes:
        name: what.
        file: its file; a cell's is ``<In number>``, "" is the code that was asked about.
        line: from 1.
        column: in characters, from 0.
    """

    name: str
    file: str
    line: int
    column: int = 0


@dataclass(frozen=True)
class Reference:
    """One place where something is used or defined.

    Attributes:
        file: its file; a cell's is ``<In number>``, "" is the code that was asked about.
        line: from 1.
        column: in characters, from 0.
        text: the line, without the blanks around it.
        is_definition: whether it is defined there, or given its value.
    """

    file: str
    line: int
    column: int = 0
    text: str = ""
    is_definition: bool = False


@dataclass(frozen=True)
class References:
    """Where something is used.

    Attributes:
        name: what; "" where there is nothing.
        items: the inputs in the order in which they ran, then the code that was asked about, then files.
        is_whole: False if there are more, or if not all could be looked into in the time allowed.
    """

    name: str
    items: tuple[Reference, ...] = field(default=(), metadata={"of": Reference})
    is_whole: bool = True


@dataclass(frozen=True)
class CodeState:
    """Whether code could run as it is.

    Attributes:
        status: one of `Completeness`.
        indent: what the next line of incomplete code should begin with.
    """

    status: str
    indent: str = ""


@dataclass(frozen=True)
class Variable:
    """One value under its name, in one line.

    Attributes:
        name: the variable's, or the key, position or attribute it has in its container, as text.
        path: what leads to it; give it to `children`, `slice` or `inspect`.
        type: the name of its type.
        size: the number of its elements, None where that is unknown.
        shape: of an array or table.
        dtype: of an array.
        preview: the value in one short line.
        has_children: whether `children` finds something in it.
        has_cells: whether `slice` can show it.
    """

    name: str
    path: str
    type: str
    size: int | None = None
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    preview: str = ""
    has_children: bool = False
    has_cells: bool = False

    @property
    def extent(self) -> str:
        """How large the value is, as people say it; "" where that is unknown."""
        if self.shape is not None:
            return f"{'x'.join(map(str, self.shape))} {self.dtype or ''}".rstrip()
        return "" if self.size is None else str(self.size)


@dataclass(frozen=True)
class Watched:
    """What an expression that somebody watches is now.

    Attributes:
        expression: as it was given.
        type: the name of its value's type, "" where it has none.
        preview: the value in one short line.
        error: why it has none, in one short line: what it raised, or that it did not come back; "" where it has one.
        is_true: whether the value counts as true.
    """

    expression: str
    type: str = ""
    preview: str = ""
    error: str = ""
    is_true: bool = False


@dataclass(frozen=True)
class Page:
    """Some of the children of a value.

    Attributes:
        path: of the value.
        count: how many children there are in all.
        start: the position of the first one here.
        items: the children.
    """

    path: str
    count: int
    start: int
    items: tuple[Variable, ...] = field(default=(), metadata={"of": Variable})


@dataclass(frozen=True)
class Cells:
    """A rectangle of a table, as text.

    Attributes:
        path: of the table.
        row_count: how many rows there are: of the table, or if it was filtered those that pass.
        column_count: how many columns it has.
        row_start: the first row here, among those.
        column_start: the first column here.
        row_labels: of the rows here.
        column_labels: of the columns here.
        rows: the cells, row by row.
        total_row_count: how many rows the table has; None from a worker that does not filter.
        positions: where each row here stands in the table itself, from 0: what `set_variable` takes as ``row``.
        column_types: of the columns here: an array's dtype, ``object`` where a column holds values of any type.
    """

    path: str
    row_count: int
    column_count: int
    row_start: int
    column_start: int
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total_row_count: int | None = None
    positions: tuple[int, ...] = ()
    column_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Python:
    """The interpreter that runs user code.

    Attributes:
        version: as ``3.12.1``.
        implementation: as ``CPython``.
        executable: its file.
        prefix: its environment's folder.
        base_prefix: the folder of the installation the environment was made from.
        platform: the system, in words.
        pid: the worker's process.
        engine: the worker's engine.
    """

    version: str
    implementation: str
    executable: str
    prefix: str
    base_prefix: str
    platform: str
    pid: int
    engine: str


@dataclass(frozen=True)
class Package:
    """One installed distribution."""

    name: str
    version: str


Found = TypeVar("Found")


def make_found_encoder(json: Any) -> Callable[[Any], str]:
    """What writes what was found as JSON; a worker brings a module that no user code has patched."""
    return make_encoder(json, default=_list_fields)


def _list_fields(found: Any) -> dict[str, Any]:
    return dict(vars(found))


def read_found(kind: type[Found], found: dict[str, Any]) -> Found:
    """Build what was found from what JSON carried; fields that only a newer worker knows are left out."""
    inner = _inner_kinds(kind)  # type: ignore[arg-type] # mypy takes classes for unhashable
    return kind(**{name: _read_field(inner[name], value) for name, value in found.items() if name in inner})


def is_as_found(kind: type, found: Any) -> bool:
    """Whether this has just the fields that are known here, as of a worker of the same release."""
    inner = _inner_kinds(kind)
    if not isinstance(found, dict) or found.keys() != inner.keys():
        return False
    return all(
        isinstance(found[name], list) and all(is_as_found(of, item) for item in found[name])
        for name, of in inner.items()
        if of is not None
    )


@functools.cache
def _inner_kinds(kind: Any) -> dict[str, type[Any] | None]:
    """What the lists in each field hold."""
    return {each.name: each.metadata.get("of") for each in fields(kind)}


def _read_field(inner: type[Any] | None, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(read_found(inner, item) if inner else _read_field(None, item) for item in value)
    return value
