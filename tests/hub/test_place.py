"""One home for a name: who may be its hub, and where the worker of the hub before is found."""

import os
import subprocess
import sys

import pytest

from rpyc_kernel.errors import KernelExists, RequestError, WorkerBusy
from rpyc_kernel.frozen import changed
from rpyc_kernel.hub import place as place_module
from rpyc_kernel.hub.place import take_place
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.processes import birth_of
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen
from rpyc_kernel.wire.connection_file import ConnectionFile


@pytest.fixture
def elsewhere(folders):
    """The folders as a shell sees them that has another runtime folder."""
    return Folders(folders.runtime.parent / "q", folders.state)


@pytest.fixture
def take(request):
    """Takes a place, and gives it back at the end."""

    def take(folders, is_private=False):
        place = take_place("demo", folders, is_private=is_private)
        request.addfinalizer(place.home.unlock)
        request.addfinalizer(place.folder.unlock)
        return place

    return take


@pytest.fixture
def worker():
    """A process that stands for a worker."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def leave_behind(home, folder, worker, home_path=None):
    """As if a hub had been killed and left its worker."""
    for place in (home, folder):
        place.create()
        ConnectionFile(
            "demo", "", 0, "6b" * 32, str(folder.hub_socket), 1, worker.pid, 3,
            worker_birth=birth_of(worker.pid), home=home_path or str(home.path),
        ).write(place.connection_file)  # fmt: skip


def test_a_second_hub_of_a_name_is_told_where_the_first_is_whatever_its_environment(take, folders, elsewhere):
    first = take(folders)
    ConnectionFile("demo", "", 0, "6b", str(first.folder.hub_socket), 77, home=str(first.home.path)).write(
        first.home.connection_file
    )
    for shell in (folders, elsewhere):
        with pytest.raises(KernelExists, match=rf"running already \(hub process 77, home {first.home.path}\)"):
            take(shell)
    assert not (elsewhere.runtime / "demo").exists()


@pytest.mark.parametrize("first_is_private", [False, True])
def test_a_private_kernel_and_one_with_a_home_do_not_share_a_name(take, folders, first_is_private):
    take(folders, first_is_private)
    with pytest.raises(KernelExists, match="running already"):
        take(folders, not first_is_private)


def test_a_private_kernel_does_not_take_the_name_of_one_with_a_home_elsewhere(take, folders, elsewhere):
    take(folders)
    with pytest.raises(KernelExists, match="running already"):
        take(elsewhere, is_private=True)
    assert not (elsewhere.runtime / "demo").exists()


def test_one_folder_cannot_be_for_what_stays_and_for_what_goes(take, folders, tmp_path):
    (tmp_path / "link").symlink_to(folders.state)
    for runtime in (folders.state, tmp_path / "link"):
        with pytest.raises(RequestError, match="are the same folder"):
            take(changed(folders, runtime=runtime))


def test_a_private_kernel_has_no_home_but_its_runtime_folder(take, folders):
    place = take(folders, is_private=True)
    assert place.home is place.folder
    assert place.home.journal.parent == folders.runtime / "demo"
    assert not (folders.state / "demo").exists()


def test_another_home_is_another_kernel_and_takes_nobodys_sockets(take, folders):
    take(folders)
    other = Folders(folders.runtime, folders.state.parent / "s2")
    with pytest.raises(KernelExists, match="running already"):
        take(other)
    take(Folders(folders.runtime.parent / "q", other.state))


def test_the_worker_of_a_killed_hub_is_found_from_any_environment(take, folders, elsewhere, worker):
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(Home(folders.state / "demo"), folder, worker)
    with listen(folder.worker_socket, 1):
        place = take(elsewhere)
        assert place.has_worker
        assert place.folder.path == folder.path
        assert place.earlier.worker_pid == worker.pid


def test_a_worker_that_went_elsewhere_when_its_folder_vanished_is_found(take, folders, worker, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.system.runtime_folder.last_resort", lambda: folders.runtime.parent / "tmp")
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(Home(folders.state / "demo"), folder, worker)
    there = RuntimeFolder(folder.refuge)
    there.create()
    with listen(there.worker_socket, 1):
        assert take(folders).folder.path == there.path


def test_a_worker_whose_home_was_removed_is_found_by_its_runtime_folder(take, folders, worker):
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(folder, folder, worker, str(folders.state / "demo"))
    with listen(folder.worker_socket, 1):
        assert take(folders).earlier.worker_pid == worker.pid


@pytest.mark.parametrize("stale", [lambda path: None, lambda path: path.touch(), lambda path: listen(path, 1).close()])
def test_a_worker_that_lives_and_listens_nowhere_is_not_replaced_in_silence(take, folders, worker, monkeypatch, stale):
    monkeypatch.setattr(place_module, "_REAPPEAR_S", 0.05)
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(Home(folders.state / "demo"), folder, worker)
    stale(folder.worker_socket)
    with pytest.raises(WorkerBusy, match=rf"\(process {worker.pid}\) lives, .*'rpyc-kernel stop demo' ends it"):
        take(folders)


def test_the_worker_of_another_home_is_left_alone(take, folders, worker):
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(Home(folders.state.parent / "s2" / "demo"), folder, worker)
    with pytest.raises(RequestError, match=r"belongs to another kernel 'demo', whose home is .*s2/demo"):
        take(folders)
    assert folder.connection_file.exists()


def test_what_a_dead_kernel_left_is_in_nobodys_way(take, folders, elsewhere, worker):
    folder = RuntimeFolder(folders.runtime / "demo")
    leave_behind(Home(folders.state / "demo"), folder, worker)
    with listen(folder.worker_socket, 1):
        pass
    worker.kill()
    worker.wait()
    place = take(elsewhere)
    assert place.folder.path == elsewhere.runtime / "demo"
    assert not place.has_worker
    assert place.earlier is not None


def test_a_worker_that_no_file_tells_of_is_found_by_its_socket(take, folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    with listen(folder.worker_socket, 1):
        assert take(folders).has_worker


def test_a_folder_of_the_users_is_refused_before_anything_is_changed(folders, tmp_path):
    (folders.runtime / "demo").mkdir()
    (folders.runtime / "demo" / "ch1.tex").write_text("mine")
    with pytest.raises(RequestError, match=r"holds what no kernel made: ch1\.tex"):
        take_place("demo", folders, is_private=False)
    assert os.listdir(folders.runtime / "demo") == ["ch1.tex"]


def test_a_place_that_cannot_be_had_leaves_nothing_behind(take, folders):
    long = changed(folders, runtime=folders.runtime / ("x" * 90))
    for unusable in (long, changed(folders, runtime=folders.state)):
        Home(folders.state / "demo").create()  # as whoever starts a hub does
        with pytest.raises(RequestError):
            take(unusable)
        assert os.listdir(folders.state) == []
