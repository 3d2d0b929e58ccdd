"""Heaps of the C library, as few as was asked for, however many threads there are; and where garbage is looked for."""

import ctypes
import gc
import os
import subprocess
import sys

import pytest

from rpyc_kernel.system.heaps import collect_from_here

ALLOCATE = """
import ctypes, os, sys, tempfile, threading
from rpyc_kernel.system.heaps import share_heaps

if sys.argv[1] == "shared":
    share_heaps(2)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
all_run = threading.Barrier(9)

def allocate():
    libc.malloc(ctypes.c_size_t(50_000))
    all_run.wait(60)
    all_run.wait(60)

for _ in range(8):
    threading.Thread(target=allocate).start()
all_run.wait(60)
libc.fdopen.restype = ctypes.c_void_p
with tempfile.TemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fdopen(os.dup(file.fileno()), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    file.seek(0)
    print(file.read().count(b"<heap nr="))
all_run.wait(60)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="glibc tells how many heaps there are")
def test_threads_share_as_many_heaps_as_was_asked_for():
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    counts = {
        how: int(subprocess.check_output([sys.executable, "-c", ALLOCATE, how], env=environment))
        for how in ("shared", "as always")
    }
    assert counts["shared"] <= 2 < counts["as always"]


@pytest.mark.parametrize("was_put_off", [True, False])
def test_garbage_is_looked_for_among_what_was_made_since(was_put_off):
    gc.collect()  # what is frozen below stays so, as is what the tests were collected with
    frozen = gc.get_freeze_count()
    try:
        if was_put_off:
            gc.disable()
        collect_from_here()
        assert gc.isenabled()
        assert (gc.get_freeze_count() > frozen) == was_put_off
    finally:
        gc.enable()
