"""Values as a small tree that JSON can carry, and large buffers beside it that are sent from and into memory.

What needs no code to be rebuilt travels as what it is: None, bool, int, float, complex, str, bytes, bytearray, list,
tuple, range, dict, set and frozenset of exactly these types; numpy arrays and scalars without objects in them; pandas
tables and series of plain columns; Arrow tables. All else travels as a pickle (protocol 5, its buffers out of band),
where both sides agree: to unpickle is to run code that the sender chooses.

    scalars                 themselves
    {"k": "list", "v": …}   and so on: the kind, and what it needs; "b" is the number of a buffer
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.errors import NotPlain, RequestError
from rpyc_kernel.wire.bulk import codec_numpy, codec_tables
from rpyc_kernel.wire.bulk.parts import Buffer, NeedsPickle, Parcel, Tree, buffer_of

_SCALARS: Final = (type(None), bool, float, str)
_SAFE_INT: Final = 2**63
_MAX_INLINE_CHARS: Final = 4096
_MAX_DEPTH: Final = 100
MAX_BUFFERS: Final = 100_000

Load = Callable[..., Any]
"""As `pickle.loads`."""
Dump = Callable[..., bytes]
"""As `pickle.dumps`."""


def pack(value: Any, *, allow_pickle: bool) -> Parcel:
    """Take a value apart.

    Raises:
        NotPlain: it can only be pickled, and ``allow_pickle`` is False.
        RequestError: it cannot be pickled either.
    """
    buffers: list[Buffer] = []
    return Parcel(_pack_one(value, buffers, pickle.dumps if allow_pickle else None), buffers)


def pack_pickled(value: Any, dump: Dump) -> Parcel:
    """Pickle a value as a whole; raises RequestError where that cannot be done."""
    packed = _pickle(value, dump)
    return Parcel({"k": "pickle", "b": 0, "count": len(packed) - 1}, packed)


def pack_named(values: dict[str, Any], dump: Dump = pickle.dumps) -> Parcel:
    """Take values apart that belong to names, as one dict; what is not plain is pickled, by ``dump``.

    Raises:
        RequestError: one cannot be pickled.
    """
    buffers: list[Buffer] = []
    items = []
    for name, value in values.items():
        try:
            items.append([name, _pack_one(value, buffers, dump)])
        except RequestError as error:
            raise RequestError(f"{name}: {error}") from None
    return Parcel({"k": "dict", "v": items}, buffers)


def _pack_one(value: Any, buffers: list[Buffer], dump: Dump | None) -> Tree:
    packed: list[Buffer] = []
    try:
        tree = _Packer(packed, len(buffers)).pack(value, 0)
    except (NeedsPickle, RecursionError) as reason:
        if dump is None:
            raise NotPlain(
                f"{reason if str(reason) else type(value).__name__} cannot travel as plain data, and a pickle runs "
                "code where it is opened; take a plain part of it, or pass allow_pickle=True if you trust the kernel"
            ) from None
        packed = _pickle(value, dump)
        tree = {"k": "pickle", "b": len(buffers), "count": len(packed) - 1}
    buffers += packed
    return tree


def _pickle(value: Any, dump: Dump) -> list[Buffer]:
    outside: list[pickle.PickleBuffer] = []
    try:
        stream = dump(value, protocol=5, buffer_callback=outside.append)
        views = [memoryview(stream), *(buffer.raw() for buffer in outside)]
    except Exception as error:  # noqa: BLE001 - __reduce__ is user code
        raise RequestError(f"a {type(value).__name__} cannot be pickled: {_say(error)}") from None
    return [buffer_of(view) for view in views]


class _Packer:
    """Packs one value; its buffers are numbered from ``first``."""

    def __init__(self, buffers: list[Buffer], first: int) -> None:
        self._buffers = buffers
        self._first = first

    def pack(self, value: Any, depth: int) -> Tree:
        kind = type(value)
        if kind is str and (len(value) > _MAX_INLINE_CHARS or not _is_sound(value)):
            return {"k": "str", "b": self.add(buffer_of(memoryview(value.encode("utf-8", "surrogatepass"))))}
        if kind in _SCALARS:
            return value
        if depth > _MAX_DEPTH:
            raise NeedsPickle("a value nested this deep")
        packer = _PACKERS.get(kind)
        if packer is not None:
            return packer(self, value, depth)
        foreign = _find_foreign(kind)
        if foreign is None:
            raise NeedsPickle(f"a {kind.__module__}.{kind.__qualname__}")
        return foreign(self, value)

    def _int(self, value: int, depth: int) -> Tree:
        return value if -_SAFE_INT < value < _SAFE_INT else {"k": "int", "v": hex(value)}

    def _complex(self, value: complex, depth: int) -> Tree:
        return {"k": "complex", "v": [value.real, value.imag]}

    def _bytes(self, value: bytes | bytearray, depth: int) -> Tree:
        # While a bytearray is looked at, code could not change its length: it is copied.
        return {"k": type(value).__name__, "b": self.add(buffer_of(memoryview(bytes(value))))}

    def _items(self, value: Any, depth: int) -> Tree:
        return {"k": type(value).__name__, "v": [self.pack(item, depth + 1) for item in list(value)]}

    def _range(self, value: range, depth: int) -> Tree:
        return {"k": "range", "v": [self.pack(number, depth + 1) for number in (value.start, value.stop, value.step)]}

    def _dict(self, value: dict[Any, Any], depth: int) -> Tree:
        items = [[self.pack(key, depth + 1), self.pack(item, depth + 1)] for key, item in list(value.items())]
        return {"k": "dict", "v": items}

    def add(self, buffer: Buffer) -> int:
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
    range: _Packer._range,
    dict: _Packer._dict,
}


def _find_foreign(kind: type) -> Callable[[_Packer, Any], Tree] | None:
    """How to pack a type of a library, by the very class and not by its name, which anybody can give to a class."""
    numpy, pandas, pyarrow = (sys.modules.get(name) for name in ("numpy", "pandas", "pyarrow"))
    if numpy is not None:
        if kind in (numpy.ndarray, numpy.memmap):
            return codec_numpy.pack_array
        if issubclass(kind, numpy.generic) and numpy.dtype(kind).kind in codec_numpy.SCALAR_KINDS:
            return codec_numpy.pack_scalar
    if pandas is not None and kind in (pandas.DataFrame, pandas.Series):
        return codec_tables.pack_frame if kind is pandas.DataFrame else codec_tables.pack_series
    if pyarrow is not None and kind is pyarrow.Table:
        return codec_tables.pack_arrow
    return None


def _is_sound(text: str) -> bool:
    """Whether it holds no surrogates, two of which JSON would take for one character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _say(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - user code
        return type(error).__name__


# ------------------------------------------------------------------ putting together


def unpack(tree: Tree, buffers: list[Any], *, allow_pickle: bool, load: Load = pickle.loads) -> Any:
    """Put a value together again.

    Args:
        tree: what `pack` made.
        buffers: what arrived: ``bytes`` where `find_bytes` says so, else writable memory that becomes the value's own.
        allow_pickle: whether a pickle may be opened, which runs code that the sender chose.
        load: opens one.

    Raises:
        NotPlain: it is a pickle, and may not be opened.
        RequestError: it is not what `pack` makes, or a library is missing.
    """
    try:
        return _Unpacker(buffers, allow_pickle, load).unpack(tree)
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
    def __init__(self, buffers: list[Any], allow_pickle: bool, load: Load) -> None:
        self._buffers = buffers
        self._load = load
        self.allow_pickle = allow_pickle

    def unpack(self, tree: Tree) -> Any:
        if not isinstance(tree, dict):
            return tree
        return _UNPACKERS[tree["k"]](self, tree)

    def take(self, number: int) -> Any:
        """A buffer, which makes one value: else a short message could ask for any number of copies."""
        buffer, self._buffers[number] = self._buffers[number], None
        if buffer is None:
            raise ValueError(f"buffer {number} is asked for twice")
        return buffer

    def _all(self, trees: list[Tree]) -> list[Any]:
        return [self.unpack(tree) for tree in trees]

    def _dict(self, tree: Tree) -> dict[Any, Any]:
        return {self.unpack(key): self.unpack(value) for key, value in tree["v"]}

    def _pickle(self, tree: Tree) -> Any:
        if not self.allow_pickle:
            raise NotPlain("the other side sent a pickle although none was asked for")
        first = tree["b"]
        stream, *outside = [self.take(number) for number in range(first, first + 1 + tree["count"])]
        try:
            return self._load(stream, buffers=outside)
        except RequestError:
            raise
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
    "str": lambda self, tree: str(self.take(tree["b"]), "utf-8", "surrogatepass"),
    "bytes": lambda self, tree: self.take(tree["b"]),
    "bytearray": lambda self, tree: bytearray(self.take(tree["b"])),
    "list": lambda self, tree: self._all(tree["v"]),
    "tuple": lambda self, tree: tuple(self._all(tree["v"])),
    "set": lambda self, tree: set(self._all(tree["v"])),
    "frozenset": lambda self, tree: frozenset(self._all(tree["v"])),
    "range": lambda self, tree: range(*self._all(tree["v"])),
    "dict": _Unpacker._dict,
    "array": codec_numpy.unpack_array,
    "scalar": lambda self, tree: codec_numpy.unpack_array(self, tree["v"])[()],
    "frame": codec_tables.unpack_frame,
    "series": codec_tables.unpack_series,
    "arrow": lambda self, tree: codec_tables.unpack_arrow(self, tree, is_trusted=self.allow_pickle),
    "pickle": _Unpacker._pickle,
}
