"""How a value is spread over many kernels, and made whole again: each has a piece of it, the first kernel the first.

    array, masked array      along an axis; pieces are views
    DataFrame, Series        by rows, or columns; likewise
    arrow's Table            by rows; likewise
    list, tuple, range, str, bytes, bytearray
    dict                     by its items, in their order

Pieces are as long as each other, or the first ones by one longer. Where there are fewer items than kernels, the last
ones get empty pieces of the same kind. What numpy, pandas and arrow make is known by modules that are loaded: nobody
has an array without numpy.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from itertools import accumulate, chain, islice, pairwise
from typing import Any, Final

from rpyc_kernel.errors import RequestError


def split(value: Any, count: int, axis: int = 0) -> list[Any]:
    """Divide a value into pieces, in order.

    Args:
        value: of a kind that this module lists.
        count: how many pieces; 1 or more.
        axis: of an array the axis to divide, from -ndim to ndim - 1; of a DataFrame 0 for rows, 1 for columns; else 0.

    Returns:
        ``count`` pieces of the value's kind. Those of arrays and tables share its memory.

    Raises:
        RequestError: it cannot be divided, or has no such axis.

    Example:
        >>> split(range(10), 3)
        [range(0, 4), range(4, 7), range(7, 10)]
        >>> split("ab", 3)
        ['a', 'b', '']
    """
    kind = _kind_of(value)
    if kind is None:
        raise RequestError(
            f"nothing {_call(value)} can be spread over kernels; an array, a table, a list, a tuple, a range, a str, "
            "bytes and a dict can"
        )
    axis = _check_axis(kind, value, axis, "what is to be spread")
    return [kind.cut(value, start, stop, axis) for start, stop in _bounds(kind.measure(value, axis), count)]


def join(pieces: Sequence[Any], axis: int = 0, *, names: Sequence[str] | None = None) -> Any:
    """Make one value of its pieces, in order: what `split` has divided is equal to what it was.

    Args:
        pieces: all of one kind that this module lists; arrays and tables must have the same form but for the axis.
        axis: along which they are joined, as for `split`.
        names: who has each, for what is said of one that does not fit; None: by its position, from 0.

    Returns:
        A value of their kind. Ranges that do not go on where the one before ends make a list.

    Raises:
        RequestError: which piece does not fit, and why.

    Example:
        >>> join([[1, 2], [3], []])
        [1, 2, 3]
    """
    if not pieces:
        raise RequestError("there are no pieces to join")
    first = pieces[0]
    kind = _kind_of(first)
    for at, piece in enumerate(pieces):
        who = f"what {names[at]!r} has" if names else f"piece {at}"
        own = _kind_of(piece)
        if own is None:
            raise RequestError(f"{who} is {_call(piece)}, no piece of anything; `pull` takes what each has as it is")
        if own is not kind:
            raise RequestError(f"{who} is {_call(piece)}, but that of the first is {_call(first)}: they make no whole")
        axis = _check_axis(own, piece, axis, who)
        if reason := own.misfit(piece, first, axis):
            raise RequestError(f"{who} does not fit: {reason}")
    assert kind is not None
    return kind.join(pieces, axis)


def flatten(piece: Any, axis: int = 0) -> Any:
    """Give the item of a piece that has one; any other piece as it is.

    Args:
        piece: of an array, a Series or a sequence.
        axis: along which it was divided.

    Raises:
        RequestError: it is of a table or a dict, whose items are none by themselves.

    Example:
        >>> [flatten(piece) for piece in split([7, 8, 9], 2)]
        [[7, 8], 9]
    """
    kind = _kind_of(piece)
    if kind is None or not _is_mapped_by_pieces(piece):
        raise RequestError(f"a piece of one item can be flattened of an array or a sequence, and not {_call(piece)}")
    axis = _check_axis(kind, piece, axis, "what is to be flattened")
    return kind.item(piece, axis) if kind.measure(piece, axis) == 1 else piece


def chunk(sequences: Sequence[Iterable[Any]], count: int) -> list[tuple[Any, ...]]:
    """Divide what a function is to be mapped over, so that the same position of each goes to the same kernel.

    Args:
        sequences: as of `map`: anything to iterate over; of different lengths the shortest counts, one may be endless.
        count: how many chunks; 1 or more.

    Returns:
        ``count`` tuples of one piece of each sequence, to be mapped over as the sequences are. The last ones may be
        empty. Pieces of arrays share their memory; of what cannot be sliced they are lists.

    Example:
        >>> from itertools import count
        >>> chunk(["abc", count()], 2)
        [('ab', [0, 1]), ('c', [2])]
    """
    if not sequences:
        raise RequestError("map needs at least one sequence")
    lengths = [len(each) for each in sequences if isinstance(each, Sized)]
    if lengths:
        shortest = min(lengths)
        taken: list[Any] = [each if _is_mapped_by_pieces(each) else list(islice(each, shortest)) for each in sequences]
    else:  # in step, as all but one may be endless
        taken = [list(each) for each in zip(*zip(*sequences, strict=False), strict=True)] or [[] for _ in sequences]
    bounds = _bounds(min(map(len, taken)), count)
    return [tuple(each[start:stop] for each in taken) for start, stop in bounds]


def _bounds(length: int, count: int) -> list[tuple[int, int]]:
    if type(count) is not int or count < 1:
        raise RequestError(f"a value is spread over 1 or more kernels, not {count!r}")
    size, longer = divmod(length, count)
    ends = list(accumulate(size + (at < longer) for at in range(count)))
    return list(zip([0, *ends], ends, strict=False))


def _check_axis(kind: _Kind, value: Any, axis: int, who: str) -> int:
    """The axis, counted from 0."""
    axes = kind.count_axes(value)
    if axes == 0:
        raise RequestError(f"{who} is {_call(value)} without axes, a single value; `push` and `pull` take it whole")
    if type(axis) is not int or not -axes <= axis < axes:
        which = "axis 0 alone" if axes == 1 else f"axes 0 to {axes - 1}"
        raise RequestError(f"{who} is {_call(value)}, which has {which}, not {axis!r}")
    return axis % axes


def _call(value: Any) -> str:
    return f"of type {type(value).__name__}"


# ---------------------------------------------------------------------- kinds of values


class _Kind:
    """What there is to know of values of one kind: of a sequence, where a method says nothing else."""

    def count_axes(self, value: Any) -> int:
        return 1

    def measure(self, value: Any, axis: int) -> int:
        return len(value)

    def cut(self, value: Any, start: int, stop: int, axis: int) -> Any:
        return value[start:stop]

    def item(self, value: Any, axis: int) -> Any:
        """The only one."""
        return next(iter(value))

    def misfit(self, piece: Any, first: Any, axis: int) -> str:
        """Why this piece cannot be joined with the first, "" where it can."""
        return ""

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        raise NotImplementedError


class _Sequence(_Kind):
    def __init__(self, type_: Any) -> None:
        self.type = type_

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        return self.type(chain.from_iterable(pieces))


class _Text(_Sequence):
    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        return self.type().join(pieces)


class _Range(_Kind):
    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        filled = [piece for piece in pieces if piece] or pieces[:1]
        step = filled[0].step
        for before, piece in pairwise(filled):
            if piece.step != step or piece[0] != before[-1] + step:
                return list(chain.from_iterable(filled))
        return range(filled[0].start, filled[-1].stop, step)


class _Dict(_Kind):
    def cut(self, value: Any, start: int, stop: int, axis: int) -> Any:
        return dict(islice(value.items(), start, stop))

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        whole = {key: value for piece in pieces for key, value in piece.items()}
        if len(whole) < sum(map(len, pieces)):
            keys = Counter(chain.from_iterable(pieces))
            raise RequestError(f"these pieces make no whole: more than one has the key {keys.most_common(1)[0][0]!r}")
        return whole


class _Array(_Kind):
    def count_axes(self, value: Any) -> int:
        return int(value.ndim)

    def measure(self, value: Any, axis: int) -> int:
        return int(value.shape[axis])

    def cut(self, value: Any, start: int, stop: int, axis: int) -> Any:
        return value[(slice(None),) * axis + (slice(start, stop),)]

    def item(self, value: Any, axis: int) -> Any:
        return value[(slice(None),) * axis + (0,)]

    def misfit(self, piece: Any, first: Any, axis: int) -> str:
        if _without(axis, piece.shape) != _without(axis, first.shape):
            return (
                f"its shape is {piece.shape}, that of the first is {first.shape}, and they are joined along axis {axis}"
            )
        try:
            sys.modules["numpy"].result_type(piece.dtype, first.dtype)
        except TypeError:
            return f"its dtype is {piece.dtype}, that of the first is {first.dtype}"
        return ""

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        numpy = sys.modules["numpy"]
        is_masked = any(isinstance(piece, numpy.ma.MaskedArray) for piece in pieces)
        joined = (numpy.ma if is_masked else numpy).concatenate(pieces, axis)
        dtypes = {piece.dtype for piece in pieces}
        return joined.astype(dtypes.pop(), copy=False) if len(dtypes) == 1 else joined  # of another order of bytes


def _without(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


class _Frame(_Array):
    """Of pandas; a Series has one axis."""

    def cut(self, value: Any, start: int, stop: int, axis: int) -> Any:
        return value.iloc[:, start:stop] if axis else value.iloc[start:stop]

    def item(self, value: Any, axis: int) -> Any:
        return value.iloc[0]

    def misfit(self, piece: Any, first: Any, axis: int) -> str:
        if first.ndim == 1 or piece.axes[1 - axis].equals(first.axes[1 - axis]):
            return ""
        return f"its {'rows' if axis else 'columns'} have other labels than those of the first, or another order"

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        return sys.modules["pandas"].concat(pieces, axis=axis)


class _ArrowTable(_Kind):
    def measure(self, value: Any, axis: int) -> int:
        return int(value.num_rows)

    def cut(self, value: Any, start: int, stop: int, axis: int) -> Any:
        return value.slice(start, stop - start)

    def misfit(self, piece: Any, first: Any, axis: int) -> str:
        if piece.schema.equals(first.schema):
            return ""
        return "its columns have other names or types than those of the first, or another order"

    def join(self, pieces: Sequence[Any], axis: int) -> Any:
        return sys.modules["pyarrow"].concat_tables(pieces)


_PLAIN: Final[dict[type, _Kind]] = {
    **{type_: _Sequence(type_) for type_ in (list, tuple)},
    **{type_: _Text(type_) for type_ in (str, bytes, bytearray)},
    range: _Range(),
    dict: _Dict(),
}
_OF_LIBRARIES: Final[dict[tuple[str, str], _Kind]] = {
    ("numpy", "ndarray"): _Array(),
    ("pandas", "DataFrame"): _Frame(),
    ("pandas", "Series"): _Frame(),
    ("pyarrow", "Table"): _ArrowTable(),
}


def _kind_of(value: Any) -> _Kind | None:
    for type_, kind in _PLAIN.items():
        if isinstance(value, type_):
            return kind
    for (library, name), kind in _OF_LIBRARIES.items():
        if _is_made_by(value, library, name):
            return kind
    return None


def _is_made_by(value: Any, library: str, name: str) -> bool:
    type_ = getattr(sys.modules.get(library), name, None)  # one that another thread imports may have no names yet
    return type_ is not None and isinstance(value, type_)


def _is_mapped_by_pieces(value: Any) -> bool:
    """Whether iterating over pieces of it is iterating over it: tables and dicts have their columns and keys."""
    if _is_made_by(value, "numpy", "ndarray"):
        return bool(value.ndim)
    return _is_made_by(value, "pandas", "Series") or isinstance(value, (list, tuple, range, str, bytes, bytearray))
