"""Values as a small tree that JSON can carry, and large buffers beside it that are sent from and into memory.

What needs no code to be rebuilt travels as what it is: None, bool, int, float, complex, str, bytes, bytearray, list,
tuple, dict, set and frozenset of exactly these types; numpy arrays and scalars without objects in them; pandas tables
and series of plain columns; Arrow tables. All else travels as a pickle (protocol 5, its buffers out of band), where
both sides agree: to unpickle is to run code that the sender chooses.

    scalars                 themselves
    {"k": "list", "v": …}   and so on: the kind, and what it needs; "b" is the number of a buffer
"""

from __future__ import annotations

import importlib
import itertools
import math
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rpyc_kernel.errors import NotPlain, RequestError

_SCALARS: Final = (type(None), bool, float, str)
_SAFE_INT: Final = 2**63
_MAX_INLINE_CHARS: Final = 4096
_MAX_DEPTH: Final = 100
MAX_BUFFERS: Final = 100_000
_SAFE_ARROW: Final = 15
"""The first release line of pyarrow that runs no code in reading a table (CVE-2023-47248)."""
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_NUMPY_SCALAR_KINDS: Final = "biufcmMSUV"

Tree = Any


@dataclass(frozen=True)
class Buffer:
    """Bytes to send.

    Attributes:
        length: how many there are.
        chunks: gives them in order; may be asked again.
    """

    length: int
    chunks: Callable[[], Iterable[memoryview]]


@dataclass(frozen=True)
class Parcel:
    """A packed value."""

    tree: Tree
    buffers: list[Buffer]


class _NotPlainError(Exception):
    """This value can only be pickled."""


def pack(value: Any, *, allow_pickle: bool) -> Parcel:
    """Take a value apart.

    Raises:
        NotPlain: it can only be pickled, and ``allow_pickle`` is False.
        RequestError: it cannot be pickled either.
    """
    buffers: list[Buffer] = []
    return Parcel(_pack_one(value, buffers, allow_pickle), buffers)


def pack_named(values: dict[str, Any]) -> Parcel:
    """Take values apart that belong to names, as one dict; what is not plain is pickled.

    Raises:
        RequestError: one cannot be pickled.
    """
    buffers: list[Buffer] = []
    items = []
    for name, value in values.items():
        try:
            items.append([name, _pack_one(value, buffers, allow_pickle=True)])
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from None
    return Parcel({"k": "dict", "v": items}, buffers)


def _pack_one(value: Any, buffers: list[Buffer], allow_pickle: bool) -> Tree:
    packed: list[Buffer] = []
    try:
        tree = _Packer(packed, len(buffers)).pack(value, 0)
    except (_NotPlainError, RecursionError) as reason:
        if not allow_pickle:
            raise NotPlain(
                f"{reason if str(reason) else type(value).__name__} cannot travel as plain data, and a pickle runs "
                "code where it is opened; take a plain part of it, or pass allow_pickle=True if you trust the kernel"
            ) from None
        packed = _pickle(value)
        tree = {"k": "pickle", "b": len(buffers), "count": len(packed) - 1}
    buffers += packed
    return tree


def _pickle(value: Any) -> list[Buffer]:
    outside: list[pickle.PickleBuffer] = []
    try:
        stream = pickle.dumps(value, protocol=5, buffer_callback=outside.append)
        views = [memoryview(stream), *(buffer.raw() for buffer in outside)]
    except Exception as error:  # noqa: BLE001 - __reduce__ is user code
        raise RequestError(f"a {type(value).__name__} cannot be pickled: {_say(error)}") from None
    return [_buffer_of(view) for view in views]


class _Packer:
    """Packs one value; its buffers are numbered from ``first``."""

    def __init__(self, buffers: list[Buffer], first: int) -> None:
        self._buffers = buffers
        self._first = first

    def pack(self, value: Any, depth: int) -> Tree:
        kind = type(value)
        if kind is str and (len(value) > _MAX_INLINE_CHARS or not _is_sound(value)):
            return {"k": "str", "b": self._add(memoryview(value.encode("utf-8", "surrogatepass")))}
        if kind in _SCALARS:
            return value
        if depth > _MAX_DEPTH:
            raise _NotPlainError("a value nested this deep")
        packer = _PACKERS.get(kind) or _find_foreign(kind)
        if packer is None:
            raise _NotPlainError(f"a {kind.__module__}.{kind.__qualname__}")
        tree: Tree = packer(self, value, depth)
        return tree

    def _int(self, value: int, depth: int) -> Tree:
        return value if -_SAFE_INT < value < _SAFE_INT else {"k": "int", "v": hex(value)}

    def _complex(self, value: complex, depth: int) -> Tree:
        return {"k": "complex", "v": [value.real, value.imag]}

    def _bytes(self, value: bytes | bytearray, depth: int) -> Tree:
        # While a bytearray is looked at, code could not change its length: it is copied.
        return {"k": type(value).__name__, "b": self._add(memoryview(bytes(value)))}

    def _items(self, value: Any, depth: int) -> Tree:
        return {"k": type(value).__name__, "v": [self.pack(item, depth + 1) for item in list(value)]}

    def _dict(self, value: dict[Any, Any], depth: int) -> Tree:
        items = [[self.pack(key, depth + 1), self.pack(item, depth + 1)] for key, item in list(value.items())]
        return {"k": "dict", "v": items}

    # ---- numpy, pandas, Arrow: whoever sends such a value has loaded them ----

    def _array(self, value: Any, depth: int) -> Tree:
        numpy = sys.modules["numpy"]
        if value.dtype.hasobject:
            raise _NotPlainError("an array of objects")
        if not value.dtype.itemsize:
            raise _NotPlainError("an array of items without a size")
        is_fortran = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
        straight = value.T if is_fortran else value
        return {
            "k": "array",
            "dtype": numpy.lib.format.dtype_to_descr(value.dtype),
            "shape": list(value.shape),
            "order": "F" if is_fortran else "C",
            "b": self._add_buffer(Buffer(value.nbytes, lambda: _array_blocks(numpy, straight))),
        }

    def _numpy_scalar(self, value: Any, depth: int) -> Tree:
        return {"k": "scalar", "v": self._array(sys.modules["numpy"].asarray(value), depth)}

    def _frame(self, value: Any, depth: int) -> Tree:
        columns = [self._column(value.iloc[:, place], depth) for place in range(value.shape[1])]
        return {
            "k": "frame",
            "v": columns,
            "names": self._labels(value.columns, depth),
            "index": self._index(value, depth),
        }

    def _series(self, value: Any, depth: int) -> Tree:
        name = self._label(value.name, depth)
        return {"k": "series", "v": self._column(value, depth), "name": name, "index": self._index(value, depth)}

    def _index(self, value: Any, depth: int) -> Tree:
        index = value.index
        if type(index).__name__ == "RangeIndex":
            return self._labels(index, depth)
        if type(index).__name__ not in ("Index", "DatetimeIndex") or getattr(index, "freq", None) is not None:
            raise _NotPlainError(f"a table with a {type(index).__name__}")
        return {"v": self._column(index, depth), "name": self._label(index.name, depth)}

    def _labels(self, labels: Any, depth: int) -> Tree:
        name = self._label(labels.name, depth)
        if type(labels).__name__ == "RangeIndex":
            return {"range": [labels.start, labels.stop, labels.step], "name": name}
        if type(labels).__name__ != "Index":
            raise _NotPlainError(f"a table with a {type(labels).__name__}")
        return {"v": [self._label(label, depth) for label in labels], "name": name}

    def _label(self, label: Any, depth: int) -> Tree:
        if type(label) not in (*_SCALARS, int):
            raise _NotPlainError(f"a table with a label of type {type(label).__name__}")
        return self.pack(label, depth)

    def _column(self, column: Any, depth: int) -> Tree:
        """A column of numbers, times or truth values as an array; one of text as its characters and their counts."""
        numpy, pandas = sys.modules["numpy"], sys.modules["pandas"]
        dtype = column.dtype
        is_object = isinstance(dtype, numpy.dtype)
        if is_object and not dtype.hasobject:
            return self._array(column.to_numpy(), depth)
        if not is_object and not isinstance(dtype, pandas.StringDtype):
            raise _NotPlainError(f"a table with a column of {dtype}")
        texts = column.tolist()
        missing = {type(text) for text in texts} - {str}
        if is_object and not (missing <= {type(None)} or (missing == {float} and all(map(_is_text_or_nan, texts)))):
            raise _NotPlainError("a table with a column of objects")
        encoded = [text.encode("utf-8", "surrogatepass") if type(text) is str else None for text in texts]
        lengths = numpy.fromiter((-1 if code is None else len(code) for code in encoded), "<i8", len(texts))
        return {
            "k": "texts",
            "dtype": "object" if is_object else str(dtype),
            "missing": "nan" if is_object and missing == {float} else "none",
            "lengths": self._array(lengths, depth),
            "b": self._add(memoryview(b"".join(filter(None, encoded)))),
        }

    def _arrow(self, value: Any, depth: int) -> Tree:
        ipc, pyarrow = _load("pyarrow.ipc", "an Arrow table"), sys.modules["pyarrow"]
        sink = pyarrow.BufferOutputStream()
        with ipc.new_stream(sink, value.schema) as writer:
            writer.write_table(value)
        return {"k": "arrow", "b": self._add(memoryview(sink.getvalue()))}

    def _add(self, view: memoryview) -> int:
        return self._add_buffer(_buffer_of(view))

    def _add_buffer(self, buffer: Buffer) -> int:
        if self._first + len(self._buffers) >= MAX_BUFFERS:
            raise RequestError("the value has too many parts; take fewer at a time, or put its numbers into an array")
        self._buffers.append(buffer)
        return self._first + len(self._buffers) - 1


_PACKERS: dict[type, Callable[[_Packer, Any, int], Tree]] = {
    int: _Packer._int,
    complex: _Packer._complex,
    bytes: _Packer._bytes,
    bytearray: _Packer._bytes,
    list: _Packer._items,
    tuple: _Packer._items,
    set: _Packer._items,
    frozenset: _Packer._items,
    dict: _Packer._dict,
}


def _find_foreign(kind: type) -> Callable[[_Packer, Any, int], Tree] | None:
    """How to pack a type of a library, by the very class and not by its name, which anybody can give to a class."""
    numpy, pandas, pyarrow = (sys.modules.get(name) for name in ("numpy", "pandas", "pyarrow"))
    if numpy is not None:
        if kind in (numpy.ndarray, numpy.memmap):
            return _Packer._array
        if issubclass(kind, numpy.generic) and numpy.dtype(kind).kind in _NUMPY_SCALAR_KINDS:
            return _Packer._numpy_scalar
    if pandas is not None and kind in (pandas.DataFrame, pandas.Series):
        return _Packer._frame if kind is pandas.DataFrame else _Packer._series
    if pyarrow is not None and kind is pyarrow.Table:
        return _Packer._arrow
    return None


def _buffer_of(view: memoryview) -> Buffer:
    flat = view.cast("B")
    return Buffer(flat.nbytes, lambda: (flat,))


def _array_blocks(numpy: Any, array: Any) -> Iterator[memoryview]:
    """An array's bytes in C order: in place where they lie like that, else copied a block of rows at a time."""
    if array.size == 0:
        return
    if array.flags.c_contiguous:
        yield memoryview(array.reshape(-1).view(numpy.uint8))
        return
    if array.ndim > 1 and array.nbytes // len(array) > _BLOCK_BYTES:
        yield from itertools.chain.from_iterable(_array_blocks(numpy, row) for row in array)
        return
    rows = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
    for start in range(0, len(array), rows):
        yield memoryview(numpy.ascontiguousarray(array[start : start + rows]).reshape(-1).view(numpy.uint8))


def _is_sound(text: str) -> bool:
    """Whether it holds no surrogates, two of which JSON would take for one character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_text_or_nan(value: Any) -> bool:
    return type(value) is str or math.isnan(value)


def _say(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - user code
        return type(error).__name__


# ------------------------------------------------------------------ putting together


def unpack(tree: Tree, buffers: list[Any], *, allow_pickle: bool) -> Any:
    """Put a value together again.

    Args:
        tree: what `pack` made.
        buffers: what arrived: ``bytes`` where `find_bytes` says so, else writable memory that becomes the value's own.
        allow_pickle: whether a pickle may be opened, which runs code that the sender chose.

    Raises:
        NotPlain: it is a pickle, and may not be opened.
        RequestError: it is not what `pack` makes, or a library is missing.
    """
    try:
        return _Unpacker(buffers, allow_pickle).unpack(tree)
    except RequestError:
        raise
    except Exception as error:  # noqa: BLE001 - libraries say in many ways that they cannot read something
        raise RequestError(f"what came cannot be put together: {type(error).__name__}: {error}") from None


def find_bytes(tree: Tree) -> set[int]:
    """The numbers of the buffers that are needed as ``bytes``."""
    found: set[int] = set()
    stack = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            if item.get("k") in ("bytes", "texts") and isinstance(item.get("b"), int):
                found.add(item["b"])
            stack.extend(item.values())
    return found


class _Unpacker:
    def __init__(self, buffers: list[Any], allow_pickle: bool) -> None:
        self._buffers = buffers
        self._allow_pickle = allow_pickle

    def unpack(self, tree: Tree) -> Any:
        if not isinstance(tree, dict):
            return tree
        return _UNPACKERS[tree["k"]](self, tree)

    def _take(self, number: int) -> Any:
        """A buffer, which makes one value: else a short message could ask for any number of copies."""
        buffer, self._buffers[number] = self._buffers[number], None
        if buffer is None:
            raise ValueError(f"buffer {number} is asked for twice")
        return buffer

    def _all(self, trees: list[Tree]) -> list[Any]:
        return [self.unpack(tree) for tree in trees]

    def _dict(self, tree: Tree) -> dict[Any, Any]:
        return {self.unpack(key): self.unpack(value) for key, value in tree["v"]}

    def _texts(self, tree: Tree) -> list[str | None]:
        data, missing = self._take(tree["b"]), None if tree["missing"] == "none" else math.nan
        texts: list[Any] = []
        start = 0
        for length in self._array(tree["lengths"]).tolist():
            end = start + max(length, 0)
            texts.append(data[start:end].decode("utf-8", "surrogatepass") if length >= 0 else missing)
            start = end
        return texts

    def _array(self, tree: Tree) -> Any:
        numpy = _load("numpy", "an array")
        dtype = numpy.lib.format.descr_to_dtype(_as_descr(tree["dtype"]))
        if dtype.hasobject:
            raise ValueError("an array of objects cannot come as plain data")
        shape = tuple(int(length) for length in tree["shape"])
        memory = self._take(tree["b"])
        if (
            not dtype.itemsize
            or any(length < 0 for length in shape)
            or len(memory) != math.prod(shape) * dtype.itemsize
        ):
            raise ValueError(f"{len(memory)} bytes are no array of shape {shape} and type {dtype}")
        if not len(memory):
            return numpy.empty(shape, dtype)
        return numpy.ndarray(shape, dtype, memory, order=tree["order"])

    def _frame(self, tree: Tree) -> Any:
        columns = [self._column(column) for column in tree["v"]]
        pandas = _find("pandas")
        if pandas is None:
            names = tree["names"]
            labels = range(*names["range"]) if "range" in names else self._all(names["v"])
            return dict(zip(labels, columns, strict=True))
        index = self._index(pandas, tree["index"])
        frame = pandas.DataFrame(dict(enumerate(columns)), index=None if columns else index, copy=False)
        frame.index, frame.columns = index, self._labels(pandas, tree["names"])
        return frame

    def _series(self, tree: Tree) -> Any:
        pandas = _load("pandas", "a series")
        series = pandas.Series(self._column(tree["v"]), name=self.unpack(tree["name"]), copy=False)
        series.index = self._index(pandas, tree["index"])
        return series

    def _index(self, pandas: Any, tree: Tree) -> Any:
        if "range" in tree:
            return self._labels(pandas, tree)
        column = self._column(tree["v"])
        return pandas.Index(column, dtype=column.dtype, name=self.unpack(tree["name"]))

    def _labels(self, pandas: Any, tree: Tree) -> Any:
        name = self.unpack(tree["name"])
        if "range" in tree:
            return pandas.RangeIndex(*tree["range"], name=name)
        return pandas.Index(self._all(tree["v"]), name=name)

    def _column(self, tree: Tree) -> Any:
        if tree["k"] != "texts":
            return self.unpack(tree)
        texts, pandas = self._texts(tree), _find("pandas")
        # As a series, because of other forms of objects pandas would make its own type of text.
        return texts if pandas is None else pandas.Series(texts, dtype=tree["dtype"])

    def _arrow(self, tree: Tree) -> Any:
        ipc, pyarrow = _load("pyarrow.ipc", "an Arrow table"), sys.modules["pyarrow"]
        if int(pyarrow.__version__.partition(".")[0]) < _SAFE_ARROW and not self._allow_pickle:
            raise NotPlain(
                f"pyarrow {pyarrow.__version__} may run code in reading a table; install {_SAFE_ARROW} or newer, or "
                "pass allow_pickle=True if you trust the kernel"
            )
        return ipc.open_stream(pyarrow.py_buffer(self._take(tree["b"]))).read_all()

    def _pickle(self, tree: Tree) -> Any:
        if not self._allow_pickle:
            raise NotPlain("the other side sent a pickle although none was asked for")
        first = tree["b"]
        stream, *outside = [self._take(number) for number in range(first, first + 1 + tree["count"])]
        try:
            return pickle.loads(stream, buffers=outside)
        except (AttributeError, ImportError) as error:
            raise RequestError(
                f"it needs what this side does not have ({_say(error)}): functions, and instances of classes, travel "
                "as names of what both sides can import. Run the definition here first, by execute() or run_file(), "
                "or put it into a module that both have"
            ) from None
        except Exception as error:  # noqa: BLE001 - what a pickle does is the sender's code
            raise RequestError(f"the pickle cannot be opened here: {_say(error)}") from None


_UNPACKERS: dict[str, Callable[[_Unpacker, Tree], Any]] = {
    "int": lambda self, tree: int(tree["v"], 16),
    "complex": lambda self, tree: complex(*tree["v"]),
    "str": lambda self, tree: str(self._take(tree["b"]), "utf-8", "surrogatepass"),
    "bytes": lambda self, tree: self._take(tree["b"]),
    "bytearray": lambda self, tree: bytearray(self._take(tree["b"])),
    "list": lambda self, tree: self._all(tree["v"]),
    "tuple": lambda self, tree: tuple(self._all(tree["v"])),
    "set": lambda self, tree: set(self._all(tree["v"])),
    "frozenset": lambda self, tree: frozenset(self._all(tree["v"])),
    "dict": _Unpacker._dict,
    "array": _Unpacker._array,
    "scalar": lambda self, tree: self._array(tree["v"])[()],
    "frame": _Unpacker._frame,
    "series": _Unpacker._series,
    "arrow": _Unpacker._arrow,
    "pickle": _Unpacker._pickle,
}


def _as_descr(descr: Any) -> Any:
    """A dtype's description as numpy wants it: JSON has made lists of its tuples."""
    if not isinstance(descr, list):
        return descr
    return [(field[0], _as_descr(field[1]), *(tuple(shape) for shape in field[2:])) for field in descr]


def _find(name: str) -> Any:
    """A library, None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _load(name: str, what: str) -> Any:
    library = _find(name)
    if library is None:
        package = name.partition(".")[0]
        raise RequestError(f"{what} needs {package} on this side; install it with 'pip install {package}'")
    return library
