"""Arrays and scalars of numpy, without objects in them: a description, and their bytes in place."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from typing import Any, Final

from rpyc_kernel.wire.bulk.parts import Buffer, NeedsPickle, Packing, Tree, Unpacking, load_library

_BLOCK_BYTES: Final = 4 * 1024 * 1024
SCALAR_KINDS: Final = "biufcmMSUV"


def pack_array(packing: Packing, value: Any) -> Tree:
    """An array; whoever sends one has loaded numpy."""
    numpy = sys.modules["numpy"]
    if value.dtype.hasobject:
        raise NeedsPickle("an array of objects")
    if not value.dtype.itemsize:
        raise NeedsPickle("an array of items without a size")
    is_fortran = bool(value.flags.f_contiguous and not value.flags.c_contiguous)
    straight = value.T if is_fortran else value
    return {
        "k": "array",
        "dtype": numpy.lib.format.dtype_to_descr(value.dtype),
        "shape": list(value.shape),
        "order": "F" if is_fortran else "C",
        "b": packing.add(Buffer(value.nbytes, lambda: _array_blocks(numpy, straight))),
    }


def pack_scalar(packing: Packing, value: Any) -> Tree:
    """A scalar, as an array of no dimension."""
    return {"k": "scalar", "v": pack_array(packing, sys.modules["numpy"].asarray(value))}


def unpack_array(unpacking: Unpacking, tree: Tree) -> Any:
    """The array, on the memory that came."""
    numpy = load_library("numpy", "an array")
    dtype = numpy.lib.format.descr_to_dtype(_as_descr(tree["dtype"]))
    if dtype.hasobject:
        raise ValueError("an array of objects cannot come as plain data")
    shape = tuple(int(length) for length in tree["shape"])
    memory = unpacking.take(tree["b"])
    if not dtype.itemsize or any(length < 0 for length in shape) or len(memory) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(memory)} bytes are no array of shape {shape} and type {dtype}")
    if not len(memory):
        return numpy.empty(shape, dtype)
    return numpy.ndarray(shape, dtype, memory, order=tree["order"])


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


def _as_descr(descr: Any) -> Any:
    """A dtype's description as numpy wants it: JSON has made lists of its tuples."""
    if not isinstance(descr, list):
        return descr
    return [(field[0], _as_descr(field[1]), *(tuple(shape) for shape in field[2:])) for field in descr]
