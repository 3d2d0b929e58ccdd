"""Fixtures of the tests of a worker's parts."""

import ctypes
import os

import pytest

from tests.worker.lanes import Worker
from tests.worker.sessions import ipython, open_ipython, plain, session  # noqa: F401 - fixtures


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.loop.loop.close()


@pytest.fixture
def written_by_c(worker, tmp_path):
    """What C code has written to a file of its own when an execution is said to be finished; `behave` writes "c"."""
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    file = ctypes.c_void_p(libc.fopen(os.fsencode(tmp_path / "file"), b"w"))
    seen = []
    worker.engine.behave = lambda code: libc.fputs(b"c", file) and None
    worker.output.on_finished = lambda: seen.append((tmp_path / "file").read_text())
    yield seen
    libc.fclose(file)
