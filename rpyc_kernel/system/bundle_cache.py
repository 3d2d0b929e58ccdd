"""Where bundles of the kernel's packages are unpacked: one is taken in, found again, held, and removed in the end.

A bundle is a folder named by the SHA-256 of the zip archive it came in. The text of this file is a program, too, for
a machine that has nothing of this package yet; `client/bundle.py` sends it. So it needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import runpy
import shutil
import signal
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator

MANIFEST = "manifest.json"
"""Names the files of a bundle with their sizes: what tidies caches by itself may have taken some."""
MARK = "rpyc-kernel-bundle "
"""What lines of answers begin with: a login may write something before them."""
NOTE = "python"
"""The file beside the bundles that has the path of the Python by which a kernel was started here last."""
_KEPT_S = 7 * 24 * 3600.0
_NEW, _OLD = "new-", "old-"
_MAIN = "__main__.py"
"""Whoever runs from a bundle holds a shared lock of this file; its time is when the bundle was last asked for."""


def cache_folder() -> str:
    """Where this user's bundles are, on every system: the program does not know more of the one it is sent to."""
    top = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(top if os.path.isabs(top) else os.path.expanduser("~/.cache"), "rpyc_kernel", "bundles")


def find(digest: str) -> str | None:
    """Return the folder of a bundle, which nobody removes in the next days, or None where it is not there, or whole.

    Raises:
        OSError: the cache is not this user's alone.
    """
    top, folder = cache_folder(), _folder_of(digest)
    if not os.path.isdir(folder):
        return None
    check_owner()
    with _locked(top):
        if not _is_whole(folder):
            return None
        with contextlib.suppress(OSError):  # a cache that can only be read has nothing removed, either
            os.utime(os.path.join(folder, _MAIN))
        return folder


def take(data: bytes, digest: str) -> str:
    """Unpack the archive of a bundle, and return its folder: it is there as a whole, or not at all.

    Raises:
        OSError: it is damaged, or cannot be stored.
    """
    if hashlib.sha256(data).hexdigest() != digest:
        raise OSError("the bundle arrived damaged; try again")
    top, folder = cache_folder(), _folder_of(digest)
    os.makedirs(top, mode=0o700, exist_ok=True)
    check_owner()
    with _locked(top) as is_alone:
        if _is_whole(folder):  # somebody else was faster
            return folder
        if is_alone:
            _remove_unused(top)
        new = tempfile.mkdtemp(prefix=_NEW, dir=top)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                archive.extractall(new)
            if os.path.isdir(folder):
                _remove(folder)
            os.rename(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


def put_file(path: str, data: bytes) -> None:
    """Write a file of the cache: it is there as a whole, or not at all; raises `OSError` where it cannot be."""
    os.makedirs(cache_folder(), mode=0o700, exist_ok=True)
    check_owner()
    new = tempfile.mkdtemp(prefix=_NEW, dir=cache_folder())
    try:
        with open(os.path.join(new, "file"), "wb") as file:
            os.chmod(file.fileno(), 0o600)
            file.write(data)
        os.rename(file.name, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _folder_of(digest: str) -> str:
    return os.path.join(cache_folder(), digest)


def check_owner() -> None:
    """See that nobody else can put something into the cache, as what is in there is run.

    Raises:
        OSError: somebody can, or it is not there.
    """
    top = cache_folder()
    found = os.stat(top)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise OSError(f"others can write to {top}; make it yours alone, or set XDG_CACHE_HOME to a folder that is")


@contextlib.contextmanager
def _locked(top: str) -> Iterator[bool]:
    """Wait until nobody else changes the cache; False where the file system is read-only, or has no locks."""
    is_alone = False
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            file = os.open(os.path.join(top, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            held.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
            is_alone = True
        yield is_alone


def _is_whole(folder: str) -> bool:
    try:
        with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
            return all(os.stat(os.path.join(folder, name)).st_size == size for name, size in json.load(file).items())
    except (OSError, ValueError):
        return False


def _remove_unused(top: str) -> None:
    """Remove what one that was killed has left, and what nobody has asked for in days or runs from now."""
    for name in os.listdir(top):
        path = os.path.join(top, name)
        if name.startswith((_NEW, _OLD)):
            shutil.rmtree(path, ignore_errors=True)
        elif name.endswith(".zip"):
            with contextlib.suppress(OSError):
                if _is_old(path):
                    os.unlink(path)
        elif os.path.isdir(path) and not _is_used(os.path.join(path, _MAIN)):
            _remove(path)


def _is_old(path: str) -> bool:
    return time.time() - os.stat(path).st_mtime > _KEPT_S


def _is_used(main: str) -> bool:
    try:
        file = os.open(main, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return not _is_old(main)
    except OSError:
        return True
    finally:
        os.close(file)


def _remove(folder: str) -> None:
    """Remove a bundle; half of one never stands under its name."""
    with contextlib.suppress(OSError):
        old = tempfile.mkdtemp(prefix=_OLD, dir=os.path.dirname(folder))
        os.rename(folder, os.path.join(old, "bundle"))
        shutil.rmtree(old, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Have a bundle, ask for it on standard output if it is not there, and run it if there is something to run.

    The arguments are its digest, its size in bytes, and those of ``rpyc-kernel``, if that is to be run then.
    """
    digest, size, command = arguments[0], int(arguments[1]), arguments[2:]
    ending = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, _leave) for number in ending]  # by way of what clears up
    try:
        folder = find(digest)
        if folder is None:
            _answer(status="wanted")
            folder = take(_read(size), digest)
        _answer(status="here", path=folder)
    except OSError as error:
        _answer(status="error", error=explain(error))
        return 1
    for number, handler in zip(ending, earlier, strict=True):
        signal.signal(number, handler)
    if command:
        sys.argv[1:] = command
        runpy.run_path(folder, run_name="__main__")  # as ``python BUNDLE ARGUMENT ...``, without another Python's start
    return 0


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _answer(**answer: str) -> None:
    known = {"python": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable}
    sys.stdout.write(f"{MARK}{json.dumps({**known, **answer})}\n")
    sys.stdout.flush()


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, min(size - len(data), 1 << 20))
        if not piece:
            raise OSError(f"the connection was cut after {len(data)} of {size} bytes of the bundle; try again")
        data += piece
    return bytes(data)


def explain(error: OSError) -> str:
    """What an error of the cache means, and what to do."""
    if error.errno is None:
        return str(error)
    return (
        f"the bundle cannot be stored in {cache_folder()}: {error.strerror}; "
        "make room or leave to write there, or set XDG_CACHE_HOME to another folder"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
