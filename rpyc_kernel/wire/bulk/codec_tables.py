"""Tables: of pandas, with plain columns, as one array or text for each; of Arrow, in its own format."""

from __future__ import annotations

import math
import sys
from typing import Any, Final

from rpyc_kernel.errors import NotPlain
from rpyc_kernel.wire.bulk.codec_numpy import pack_array, unpack_array
from rpyc_kernel.wire.bulk.parts import NeedsPickle, Packing, Tree, Unpacking, buffer_of, find_library, load_library

_LABELS: Final = (type(None), bool, float, str, int)
_SAFE_ARROW: Final = 15
"""The first release line of pyarrow that runs no code in reading a table (CVE-2023-47248)."""


def pack_frame(packing: Packing, value: Any) -> Tree:
    """A table of pandas."""
    columns = [_pack_column(packing, value.iloc[:, place]) for place in range(value.shape[1])]
    return {
        "k": "frame",
        "v": columns,
        "names": _pack_labels(packing, value.columns),
        "index": _pack_index(packing, value),
    }


def pack_series(packing: Packing, value: Any) -> Tree:
    """A series of pandas."""
    name = _pack_label(packing, value.name)
    return {"k": "series", "v": _pack_column(packing, value), "name": name, "index": _pack_index(packing, value)}


def _pack_index(packing: Packing, value: Any) -> Tree:
    index = value.index
    if type(index).__name__ == "RangeIndex":
        return _pack_labels(packing, index)
    if type(index).__name__ not in ("Index", "DatetimeIndex") or getattr(index, "freq", None) is not None:
        raise NeedsPickle(f"a table with a {type(index).__name__}")
    return {"v": _pack_column(packing, index), "name": _pack_label(packing, index.name)}


def _pack_labels(packing: Packing, labels: Any) -> Tree:
    name = _pack_label(packing, labels.name)
    if type(labels).__name__ == "RangeIndex":
        return {"range": [labels.start, labels.stop, labels.step], "name": name}
    if type(labels).__name__ != "Index":
        raise NeedsPickle(f"a table with a {type(labels).__name__}")
    return {"v": [_pack_label(packing, label) for label in labels], "name": name}


def _pack_label(packing: Packing, label: Any) -> Tree:
    if type(label) not in _LABELS:
        raise NeedsPickle(f"a table with a label of type {type(label).__name__}")
    return packing.pack(label, 0)


def _pack_column(packing: Packing, column: Any) -> Tree:
    """A column of numbers, times or truth values as an array; one of text as its characters and their counts."""
    numpy, pandas = sys.modules["numpy"], sys.modules["pandas"]
    dtype = column.dtype
    is_object = isinstance(dtype, numpy.dtype)
    if is_object and not dtype.hasobject:
        return pack_array(packing, column.to_numpy())
    if not is_object and not isinstance(dtype, pandas.StringDtype):
        raise NeedsPickle(f"a table with a column of {dtype}")
    texts = column.tolist()
    missing = {type(text) for text in texts} - {str}
    if is_object and not (missing <= {type(None)} or (missing == {float} and all(map(_is_text_or_nan, texts)))):
        raise NeedsPickle("a table with a column of objects")
    encoded = [text.encode("utf-8", "surrogatepass") if type(text) is str else None for text in texts]
    lengths = numpy.fromiter((-1 if code is None else len(code) for code in encoded), "<i8", len(texts))
    return {
        "k": "texts",
        "dtype": "object" if is_object else str(dtype),
        "missing": "nan" if is_object and missing == {float} else "none",
        "lengths": pack_array(packing, lengths),
        "b": packing.add(buffer_of(memoryview(b"".join(filter(None, encoded))))),
    }


def pack_arrow(packing: Packing, value: Any) -> Tree:
    """A table of Arrow."""
    ipc, pyarrow = load_library("pyarrow.ipc", "an Arrow table"), sys.modules["pyarrow"]
    sink = pyarrow.BufferOutputStream()
    with ipc.new_stream(sink, value.schema) as writer:
        writer.write_table(value)
    return {"k": "arrow", "b": packing.add(buffer_of(memoryview(sink.getvalue())))}


def _is_text_or_nan(value: Any) -> bool:
    return type(value) is str or math.isnan(value)


def unpack_frame(unpacking: Unpacking, tree: Tree) -> Any:
    """The table; a dict of its columns where there is no pandas."""
    columns = [_unpack_column(unpacking, column) for column in tree["v"]]
    pandas = find_library("pandas")
    if pandas is None:
        names = tree["names"]
        labels = range(*names["range"]) if "range" in names else [unpacking.unpack(name) for name in names["v"]]
        return dict(zip(labels, columns, strict=True))
    index = _unpack_index(unpacking, pandas, tree["index"])
    frame = pandas.DataFrame(dict(enumerate(columns)), index=None if columns else index, copy=False)
    frame.index, frame.columns = index, _unpack_labels(unpacking, pandas, tree["names"])
    return frame


def unpack_series(unpacking: Unpacking, tree: Tree) -> Any:
    """The series."""
    pandas = load_library("pandas", "a series")
    series = pandas.Series(_unpack_column(unpacking, tree["v"]), name=unpacking.unpack(tree["name"]), copy=False)
    series.index = _unpack_index(unpacking, pandas, tree["index"])
    return series


def _unpack_index(unpacking: Unpacking, pandas: Any, tree: Tree) -> Any:
    if "range" in tree:
        return _unpack_labels(unpacking, pandas, tree)
    column = _unpack_column(unpacking, tree["v"])
    return pandas.Index(column, dtype=column.dtype, name=unpacking.unpack(tree["name"]))


def _unpack_labels(unpacking: Unpacking, pandas: Any, tree: Tree) -> Any:
    name = unpacking.unpack(tree["name"])
    if "range" in tree:
        return pandas.RangeIndex(*tree["range"], name=name)
    return pandas.Index([unpacking.unpack(label) for label in tree["v"]], name=name)


def _unpack_column(unpacking: Unpacking, tree: Tree) -> Any:
    if tree["k"] != "texts":
        return unpacking.unpack(tree)
    texts, pandas = _unpack_texts(unpacking, tree), find_library("pandas")
    # As a series, because of other forms of objects pandas would make its own type of text.
    return texts if pandas is None else pandas.Series(texts, dtype=tree["dtype"])


def _unpack_texts(unpacking: Unpacking, tree: Tree) -> list[str | None]:
    data, missing = unpacking.take(tree["b"]), None if tree["missing"] == "none" else math.nan
    texts: list[Any] = []
    start = 0
    for length in unpack_array(unpacking, tree["lengths"]).tolist():
        end = start + max(length, 0)
        texts.append(data[start:end].decode("utf-8", "surrogatepass") if length >= 0 else missing)
        start = end
    return texts


def unpack_arrow(unpacking: Unpacking, tree: Tree, *, is_trusted: bool) -> Any:
    """The table; raises `NotPlain` where this pyarrow may run code in reading it, and the sender is not trusted."""
    ipc, pyarrow = load_library("pyarrow.ipc", "an Arrow table"), sys.modules["pyarrow"]
    if int(pyarrow.__version__.partition(".")[0]) < _SAFE_ARROW and not is_trusted:
        raise NotPlain(
            f"pyarrow {pyarrow.__version__} may run code in reading a table; install {_SAFE_ARROW} or newer, or "
            "pass allow_pickle=True if you trust the kernel"
        )
    return ipc.open_stream(pyarrow.py_buffer(unpacking.take(tree["b"]))).read_all()
