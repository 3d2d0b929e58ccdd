"""The runtime folder: private, of one hub at a time, and gone without a trace."""

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import threading

import pytest

from rpyc_kernel.errors import KernelExists, RequestError
from rpyc_kernel.system.runtime_folder import RuntimeFolder, _claim
from tests.support.waiting import wait_until


@pytest.fixture
def folder(folders):
    return RuntimeFolder(folders.runtime / "demo")


PATIENCE_S = 60.0


@contextlib.contextmanager
def locked(folder):
    """The lock of another hub in this process; its end is the end of that hub."""
    other = RuntimeFolder(folder.path)
    other.lock(PATIENCE_S)
    try:
        yield other
    finally:
        os.close(other._lock)


def mode_of(path):
    return path.stat().st_mode & 0o777


# The folder


def test_nobody_else_can_enter_the_folder(folder):
    old = os.umask(0)
    try:
        folder.create()
    finally:
        os.umask(old)
    assert mode_of(folder.path) == 0o700


def test_the_folder_above_is_made_private_too(folders):
    RuntimeFolder(folders.runtime / "new" / "demo").create()
    assert mode_of(folders.runtime / "new") == 0o700


def test_a_folder_others_could_enter_is_closed(folder):
    folder.path.mkdir(mode=0o755)
    folder.create()
    assert mode_of(folder.path) == 0o700


def test_a_folder_of_somebody_else_is_refused(folder, monkeypatch):
    somebody = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: somebody)
    with pytest.raises(RequestError, match="belongs to another user; set RPYC_KERNEL_RUNTIME_DIR"):
        folder.create()


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(folders):
    folder = RuntimeFolder(folders.runtime / ("x" * 100))
    with pytest.raises(RequestError, match=r"longer than the 103 bytes .* set RPYC_KERNEL_RUNTIME_DIR to a shorter"):
        folder.create()
    assert not folder.path.exists()


def test_the_longest_path_that_is_allowed_takes_a_socket(folders):
    name = "ä" * 20 + "x" * (103 - len(os.fsencode(str(folders.runtime))) - len("/" + "ä" * 20 + "/objects.sock") - 20)
    folder = RuntimeFolder(folders.runtime / name)
    folder.create()
    for path in (folder.hub_socket, folder.rpyc_socket, folder.objects_socket, folder.worker_socket):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))


def test_each_generation_has_files_of_its_own(folder):
    files = [f(generation) for f in (folder.ring, folder.stacks, lambda g: folder.spill(g, 1)) for generation in (1, 2)]
    assert len(set(files)) == 6
    assert {file.parent for file in files} == {folder.path}


# The lock


def test_a_second_hub_is_refused_and_told_what_to_do(folder):
    folder.create()
    with (
        locked(folder),
        pytest.raises(KernelExists, match=r"kernel 'demo' is running already; .* 'rpyc-kernel stop demo'"),
    ):
        RuntimeFolder(folder.path).lock()


def test_others_see_whether_there_is_a_hub(folder):
    assert not folder.has_hub
    folder.create()
    assert not folder.has_hub
    with locked(folder):
        assert folder.has_hub
        assert folder.has_hub
    assert not folder.has_hub


def test_looking_takes_no_lock(folder):
    folder.create()
    with locked(folder):
        pass
    assert not folder.has_hub
    with locked(folder):
        pass


def test_a_hub_is_not_kept_out_by_somebody_who_looks(folder):
    folder.create()
    is_done = threading.Event()

    def look():
        while not is_done.is_set():
            _ = folder.has_hub

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            with locked(folder):
                pass
    finally:
        is_done.set()
        thread.join()


def test_the_lock_ends_with_its_process(folder):
    folder.create()
    code = (
        "import sys; from pathlib import Path; from rpyc_kernel.system.runtime_folder import RuntimeFolder\n"
        "RuntimeFolder(Path(sys.argv[1])).lock(); print('locked', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout.readline() == b"locked\n"
        assert folder.has_hub
        child.kill()
    wait_until(lambda: not folder.has_hub, what="the end of the lock")


def test_a_hub_that_waits_for_one_that_removes_its_folder_gets_a_folder_of_its_own(folder):
    folder.create()
    folder.lock()
    following = RuntimeFolder(folder.path)
    following.create()
    thread = threading.Thread(target=following.lock, args=(PATIENCE_S,))
    thread.start()
    folder.remove()
    os.close(folder._lock)
    thread.join()
    assert following.has_hub
    assert mode_of(following.path) == 0o700
    os.close(following._lock)


def test_a_lock_on_a_removed_file_does_not_count(folder):
    folder.create()
    with locked(folder):
        folder._lock_file.unlink()
        with locked(folder):
            assert folder.has_hub


def test_a_lock_whose_file_is_removed_while_it_is_taken_is_taken_anew(folder, monkeypatch):
    folder.create()
    take, removed = fcntl.flock, []

    def remove_and_take(fd, how):
        if not removed:
            removed.append(folder._lock_file.unlink())
        take(fd, how)

    monkeypatch.setattr(fcntl, "flock", remove_and_take)
    with locked(folder) as hub:
        assert removed
        assert hub.is_held


def test_a_folder_above_that_somebody_else_made_is_refused(tmp_path, monkeypatch):
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(RequestError, match="belongs to another user"):
        _claim(tmp_path)


# What is left


def test_clearing_spares_the_lock_the_log_and_what_is_to_be_kept(folder):
    folder.create()
    with locked(folder):
        for path in (folder.log_file, folder.worker_socket, folder.ring(1), folder.spill(1, 1), folder.connection_file):
            path.touch()
        folder.clear(keep=(folder.worker_socket,))
        assert {path.name for path in folder.path.iterdir()} == {"hub.lock", "hub.log", "worker.sock"}


def test_removing_leaves_nothing(folder):
    folder.create()
    with locked(folder):
        folder.ring(1).touch()
        folder.log_file.touch()
        folder.remove()
    assert not folder.path.exists()


def test_removing_what_is_gone_is_no_error(folder):
    folder.remove()
    folder.create()
    folder.remove()
    folder.remove()
