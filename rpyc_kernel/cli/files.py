"""Values as files: the format is the one the file's name ends with."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from rpyc_kernel.errors import RequestError
from rpyc_kernel.wire.bulk.parts import load_library

FORMATS = ".npy .npz .csv .parquet .arrow .feather; any other name, or '-', is raw bytes"


def save(value: Any, file: str) -> None:
    """Write a value to a file, which is there as a whole or not at all; '-' is standard output.

    What is no regular file, as a pipe or a device, is written to; of a link, the file it leads to.

    Raises:
        RequestError: the value does not fit the format, or a library for it is missing.
        OSError: the file cannot be written.
    """
    if file == "-":
        _save_raw(value, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    write = _WRITERS.get(Path(file).suffix.lower(), _save_raw)
    path = Path(file).resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as special:
            _write(write, value, special, file)
        return
    with contextlib.ExitStack() as on_failure:
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        on_failure.callback(os.unlink, unfinished)
        with os.fdopen(descriptor, "wb") as opened:
            _write(write, value, opened, file)
        os.chmod(unfinished, 0o666 & ~_umask())
        os.replace(unfinished, path)
        on_failure.pop_all()


def load(file: str) -> Any:
    """Read a value from a file; '-' is standard input.

    Raises:
        RequestError: it is not in the format of its name, or a library for it is missing.
        OSError: the file cannot be read.
    """
    if file == "-":
        return sys.stdin.buffer.read()
    path = Path(file)
    read = _READERS.get(path.suffix.lower(), Path.read_bytes)
    try:
        return read(path)
    except (OSError, RequestError):
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise RequestError(f"{file} cannot be read as {path.suffix}: {error}") from None


def has_format(name: str) -> bool:
    """Whether a name ends as that of a file with a format of its own."""
    return Path(name).suffix.lower() in _READERS


def describe(value: Any) -> str:
    """Say in a few words what a value is."""
    kind = type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None:
        return f"{kind} {' × '.join(map(str, shape)) or 'scalar'}{f' of {dtype}' if dtype is not None else ''}"
    return f"{kind} of {len(value)}" if hasattr(value, "__len__") else kind


# ------------------------------------------------------------------ writing


def _write(write: Callable[[Any, BinaryIO], None], value: Any, opened: BinaryIO, file: str) -> None:
    try:
        write(value, opened)
    except (OSError, RequestError):
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise RequestError(f"a {describe(value)} cannot be written to {file}: {error}") from None


def _save_raw(value: Any, file: BinaryIO) -> None:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    try:
        with memoryview(value) as view:
            file.write(view if view.c_contiguous else view.tobytes())
    except (TypeError, ValueError):
        raise RequestError(
            f"a {type(value).__name__} has no raw bytes; pull text, bytes or an array, or name a format: {FORMATS}"
        ) from None


def _save_npz(value: Any, file: BinaryIO) -> None:
    numpy = _load("numpy")
    arrays = value if isinstance(value, dict) else {"array": value}
    # Not numpy.savez, for which two names are parameters.
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                numpy.lib.format.write_array(entry, _as_array(array), allow_pickle=False)


def _save_csv(value: Any, file: BinaryIO) -> None:
    if hasattr(value, "to_pandas"):
        value = value.to_pandas()
    if hasattr(value, "to_csv"):
        value.to_csv(file, index=type(value.index).__name__ != "RangeIndex")
    elif isinstance(value, dict):
        _load("pandas").DataFrame(value).to_csv(file, index=False)
    else:
        array = _as_array(value)
        if array.ndim > 2 or array.dtype.names:
            raise RequestError(f"a {describe(array)} is no table; pull a slice of two dimensions, or write .npy")
        _load("numpy").savetxt(file, array, delimiter=",", fmt="%s")


def _save_arrow(value: Any, file: BinaryIO) -> None:
    table = _as_table(value)
    with _load("pyarrow.ipc").new_file(file, table.schema) as writer:
        writer.write_table(table)


def _as_array(value: Any) -> Any:
    array = _load("numpy").asarray(value)
    if array.dtype.hasobject:
        raise RequestError(f"a {type(value).__name__} is no array of numbers or text; pull one, or name another format")
    return array


def _as_table(value: Any) -> Any:
    pyarrow = _load("pyarrow")
    if isinstance(value, pyarrow.Table):
        return value
    if type(value).__name__ == "DataFrame":
        return pyarrow.Table.from_pandas(value)
    if isinstance(value, dict):
        return pyarrow.table(value)
    raise RequestError(f"a {describe(value)} is no table; pull one, or write another format: {FORMATS}")


# ------------------------------------------------------------------ reading


def _load_npz(path: Path) -> Any:
    with _load("numpy").load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _load_arrow(path: Path) -> Any:
    _load("pandas")
    with _load("pyarrow.ipc").open_file(str(path)) as opened:
        return opened.read_all().to_pandas()


def _load(name: str) -> Any:
    return load_library(name, "this format")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_WRITERS: dict[str, Callable[[Any, BinaryIO], None]] = {
    ".npy": lambda value, file: _load("numpy").save(file, _as_array(value), allow_pickle=False),
    ".npz": _save_npz,
    ".csv": _save_csv,
    ".parquet": lambda value, file: _load("pyarrow.parquet").write_table(_as_table(value), file),
    ".arrow": _save_arrow,
    ".feather": _save_arrow,
}
_READERS: dict[str, Callable[[Path], Any]] = {
    ".npy": lambda path: _load("numpy").load(path, mmap_mode="r", allow_pickle=False),
    ".npz": _load_npz,
    ".csv": lambda path: _load("pandas").read_csv(path),
    ".parquet": lambda path: _load("pandas").read_parquet(path),
    ".arrow": _load_arrow,
    ".feather": _load_arrow,
}
