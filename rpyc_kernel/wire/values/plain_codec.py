"""Plain values as bytes, in the encoding that RPyC calls brine; without RPyC, which takes much longer to load."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

_I4: Final = Struct("!L")
_F8: Final = Struct("!d")
_C16: Final = Struct("!dd")

_SINGLES: Final = (None, b"", (), True, False, NotImplemented, Ellipsis)
"""What is no more than its tag, by tag."""
_TEXT: Final = 0x08  # then the same as for bytes
_BYTES: Final = 0x0A  # of 1 to 4 bytes: this tag and the next three
_BYTES_L1, _BYTES_L4 = 0x0E, 0x0F
_TUPLE, _PAIR = 0x10, 0x11  # of 1 to 4 members, likewise
_TUPLE_L1, _TUPLE_L4, _INT_L1, _INT_L4, _FLOAT, _SLICE, _FROZENSET, _COMPLEX = range(0x14, 0x1C)
_SMALLEST, _LARGEST, _ZERO = 0x20, 0xEF, 0x50  # whole numbers that are their own tag
_SHORT: Final = 4
_LONG: Final = 256

TUPLE_OF_2: Final = b"\x11"
TUPLE_OF_4: Final = b"\x13"

_Write = Callable[[bytes], None]


def dump(value: Any) -> bytes:
    """Encode a value.

    Raises:
        TypeError: it is none that can cross.
        UnicodeEncodeError: it has characters that no encoding can carry.
    """
    parts: list[bytes] = []
    _dump(value, parts.append)
    return b"".join(parts)


def load(data: bytes, at: int = 0) -> Any:
    """Decode the value that begins here.

    Raises:
        Exception: the bytes make no sense; of any kind.
    """
    return load_from(data, at)[0]


def _dump(value: Any, write: _Write) -> None:
    _DUMPS.get(type(value), _refuse)(value, write)


def _refuse(value: Any, write: _Write) -> None:
    raise TypeError(f"a {type(value).__name__} is no plain value")


def _dump_single(value: Any, write: _Write) -> None:
    write(_SINGLE_TAGS[value])


def _dump_int(value: int, write: _Write) -> None:
    small = _SMALL.get(value)
    if small is None:
        digits = str(value).encode()
        small = _head(len(digits), _INT_L1, _INT_L4) + digits
    write(small)


def _dump_bytes(value: bytes, write: _Write, mark: bytes = b"") -> None:
    size = len(value)
    if size > _SHORT:
        write(mark + _head(size, _BYTES_L1, _BYTES_L4))
        write(value)
    else:
        write(mark + (bytes((_BYTES + size - 1,)) + value if size else b"\x01"))


def _dump_text(value: str, write: _Write) -> None:
    _dump_bytes(value.encode(), write, b"\x08")


def _dump_tuple(value: tuple[Any, ...], write: _Write) -> None:
    size = len(value)
    if size > _SHORT:
        write(_head(size, _TUPLE_L1, _TUPLE_L4))
    else:
        write(bytes((_TUPLE + size - 1,)) if size else b"\x02")
    for item in value:
        _DUMPS.get(type(item), _refuse)(item, write)


def _dump_slice(value: slice, write: _Write) -> None:
    write(bytes((_SLICE,)))
    _dump_tuple((value.start, value.stop, value.step), write)


def _dump_frozenset(value: frozenset[Any], write: _Write) -> None:
    write(bytes((_FROZENSET,)))
    _dump_tuple(tuple(value), write)


def _head(size: int, short: int, long: int) -> bytes:
    return bytes((short, size)) if size < _LONG else bytes((long,)) + _I4.pack(size)


_SMALL: Final = {value - _ZERO: bytes((value,)) for value in range(_SMALLEST, _LARGEST + 1)}
_SINGLE_TAGS: Final = {value: bytes((tag,)) for tag, value in enumerate(_SINGLES)}
_DUMPS: Final[dict[type, Callable[[Any, _Write], None]]] = {
    **dict.fromkeys(map(type, (None, True, NotImplemented, Ellipsis)), _dump_single),
    int: _dump_int,
    float: lambda value, write: write(bytes((_FLOAT,)) + _F8.pack(value)),
    complex: lambda value, write: write(bytes((_COMPLEX,)) + _C16.pack(value.real, value.imag)),
    bytes: _dump_bytes,
    str: _dump_text,
    tuple: _dump_tuple,
    slice: _dump_slice,
    frozenset: _dump_frozenset,
}


def load_from(data: bytes, at: int) -> tuple[Any, int]:
    """Decode the value that begins here, and say where the next one does; raises as `load` does."""
    tag = data[at]
    at += 1
    if tag >= _SMALLEST:  # what is most frequent first
        if tag <= _LARGEST:
            return tag - _ZERO, at
    elif tag == _PAIR:  # so is every message, and what is in it
        first, at = load_from(data, at)
        second, at = load_from(data, at)
        return (first, second), at
    elif tag == _TEXT:
        encoded, at = load_from(data, at)
        return encoded.decode(), at
    elif tag == _INT_L1:
        at, end = at + 1, at + 1 + data[at]
        return int(data[at:end] if end <= len(data) else b""), end
    elif tag < len(_SINGLES):
        return _SINGLES[tag], at
    elif _TUPLE <= tag <= _TUPLE_L4:
        count, at = _load_size(data, at, tag, _TUPLE)
        items = []
        for _ in range(count):
            item, at = load_from(data, at)
            items.append(item)
        return tuple(items), at
    elif _BYTES <= tag <= _BYTES_L4:
        size, at = _load_size(data, at, tag, _BYTES)
        return _take(data, at, size), at + size
    elif tag == _INT_L4:
        size, at = _I4.unpack_from(data, at)[0], at + _I4.size
        return int(_take(data, at, size)), at + size
    elif tag == _FLOAT:
        return _F8.unpack_from(data, at)[0], at + _F8.size
    elif tag == _COMPLEX:
        return complex(*_C16.unpack_from(data, at)), at + _C16.size
    elif tag == _SLICE:
        (start, stop, step), at = load_from(data, at)
        return slice(start, stop, step), at
    elif tag == _FROZENSET:
        items, at = load_from(data, at)
        return frozenset(items), at
    raise ValueError(f"no value begins with {tag}")


def _load_size(data: bytes, at: int, tag: int, first: int) -> tuple[int, int]:
    """The size that a tag means, of a kind whose tags begin with ``first``, or that stands behind it."""
    if tag < first + _SHORT:
        return tag - first + 1, at
    if tag == first + _SHORT:
        return data[at], at + 1
    return _I4.unpack_from(data, at)[0], at + _I4.size


def _take(data: bytes, at: int, size: int) -> bytes:
    taken = data[at : at + size]
    if len(taken) != size:
        raise ValueError("a value is cut short")
    return taken
