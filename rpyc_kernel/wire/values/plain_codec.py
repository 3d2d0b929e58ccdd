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
_NO_BYTES: Final = 0x01
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
    _DUMPS.get(type(value), _refuse)(value, parts.append)
    return b"".join(parts)


def load(data: bytes, at: int = 0) -> Any:
    """Decode the value that begins here.

    Raises:
        Exception: the bytes make no sense; of any kind.
    """
    return load_from(data, at)[0]


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


def _dump_bytes(value: bytes, write: _Write) -> None:
    size = len(value)
    write(_BYTES_HEADS[size] if size < _LONG else _head(size, _BYTES_L1, _BYTES_L4))
    write(value)


def _dump_text(value: str, write: _Write) -> None:
    data = value.encode()
    size = len(data)
    write(_TEXT_HEADS[size] if size < _LONG else b"\x08" + _head(size, _BYTES_L1, _BYTES_L4))
    write(data)


def _dump_tuple(value: tuple[Any, ...], write: _Write) -> None:
    size = len(value)
    if size > _SHORT:
        write(_head(size, _TUPLE_L1, _TUPLE_L4))
    else:
        write(bytes((_TUPLE + size - 1,)) if size else b"\x02")
    for item in value:
        small = _SMALL.get(item) if type(item) is int else None
        if small is None:
            _DUMPS.get(type(item), _refuse)(item, write)
        else:
            write(small)


def _dump_slice(value: slice, write: _Write) -> None:
    write(bytes((_SLICE,)))
    _dump_tuple((value.start, value.stop, value.step), write)


def _dump_frozenset(value: frozenset[Any], write: _Write) -> None:
    write(bytes((_FROZENSET,)))
    _dump_tuple(tuple(value), write)


def _head(size: int, short: int, long: int) -> bytes:
    return bytes((short, size)) if size < _LONG else bytes((long,)) + _I4.pack(size)


_SMALL: Final = {value - _ZERO: bytes((value,)) for value in range(_SMALLEST, _LARGEST + 1)}
_BYTES_HEADS: Final = [
    b"\x01",
    *(bytes((_BYTES + size - 1,)) for size in range(1, _SHORT + 1)),
    *(bytes((_BYTES_L1, size)) for size in range(_SHORT + 1, _LONG)),
]
"""What stands in front of bytes, by how many they are."""
_TEXT_HEADS: Final = [b"\x08" + head for head in _BYTES_HEADS]
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
    elif tag == _TEXT or _BYTES <= tag <= _BYTES_L4:
        is_text = tag == _TEXT
        if is_text:
            tag = data[at]
            at += 1
        if tag == _BYTES_L1:
            size, at = data[at], at + 1
        elif _BYTES <= tag <= _BYTES_L4:
            size, at = _load_size(data, at, tag, _BYTES)
        elif tag == _NO_BYTES:
            size = 0
        else:
            raise ValueError(f"no text begins with {tag}")
        end = at + size
        if end > len(data):
            raise ValueError("a value is cut short")
        return data[at:end].decode() if is_text else data[at:end], end
    elif tag == _INT_L1:
        at, end = at + 1, at + 1 + data[at]
        return int(data[at:end] if end <= len(data) else b""), end
    elif tag < len(_SINGLES):
        return _SINGLES[tag], at
    elif _TUPLE <= tag <= _TUPLE_L4:
        count, at = _load_size(data, at, tag, _TUPLE)
        items = []
        for _ in range(count):
            tag = data[at]
            if tag < len(_SINGLES):
                item, at = _SINGLES[tag], at + 1
            else:
                item, at = load_from(data, at)
            items.append(item)
        return tuple(items), at
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
