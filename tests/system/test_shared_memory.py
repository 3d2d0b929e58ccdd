import errno
import mmap
import os
import subprocess
import sys

import pytest

from rpyc_kernel.system import shared_memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memfd_create")

DATA = b"0123456789" * 1000


@pytest.fixture
def descriptor():
    descriptor = shared_memory.create([memoryview(DATA[:5000]), memoryview(DATA[5000:])])
    yield descriptor
    os.close(descriptor)


def test_what_was_written_is_read_and_mapped(descriptor):
    shared_memory.check(descriptor, len(DATA))
    assert shared_memory.read(descriptor, len(DATA)) == DATA
    assert bytes(shared_memory.map_privately(descriptor, len(DATA))) == DATA


def test_writing_to_a_mapping_changes_nobody_elses(descriptor):
    mine, yours = (shared_memory.map_privately(descriptor, len(DATA)) for _ in range(2))
    mine[:3] = b"abc"
    assert (mine[:3], yours[:3]) == (b"abc", b"012")


def test_a_mapping_outlives_its_descriptor():
    descriptor = shared_memory.create([memoryview(DATA)])
    mapping = shared_memory.map_privately(descriptor, len(DATA))
    os.close(descriptor)
    assert bytes(mapping) == DATA


@pytest.mark.parametrize("change", [lambda fd: os.ftruncate(fd, 10), lambda fd: os.pwrite(fd, b"x", 0)])
def test_its_sender_can_no_longer_change_it(descriptor, change):
    with pytest.raises(PermissionError):
        change(descriptor)


@pytest.mark.parametrize("length", [len(DATA) - 1, len(DATA) + 1])
def test_another_length_than_was_told_is_refused(descriptor, length):
    with pytest.raises(ValueError, match=f"has {len(DATA)} bytes instead of {length}"):
        shared_memory.check(descriptor, length)


def test_memory_that_could_still_be_shortened_is_refused():
    descriptor = os.memfd_create("open")
    try:
        os.write(descriptor, DATA)
        with pytest.raises(ValueError, match="is not sealed"):
            shared_memory.check(descriptor, len(DATA))
    finally:
        os.close(descriptor)


def test_what_is_no_memory_is_refused(tmp_path):
    with (tmp_path / "file").open("wb") as file, pytest.raises(ValueError, match="is no shared memory"):
        shared_memory.check(file.fileno(), 0)


def test_where_there_is_no_room_nothing_stays_open():
    code = (
        "import os, resource, rpyc_kernel.system.shared_memory as shared_memory\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "before = sorted(os.listdir('/proc/self/fd'))\n"
        "try: shared_memory.create([memoryview(bytes(10_000))])\n"
        "except OSError as error: print(error.errno)\n"
        "assert sorted(os.listdir('/proc/self/fd')) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{errno.EFBIG}\n", "")


def test_allocated_memory_is_not_shared_with_a_child():
    memory = shared_memory.allocate(mmap.PAGESIZE)
    child = os.fork()
    if child == 0:
        memory[0] = 1
        os._exit(0)
    os.waitpid(child, 0)
    assert memory[0] == 0
