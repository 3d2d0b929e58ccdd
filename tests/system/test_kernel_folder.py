"""What a kernel may touch: folders that it made, by the names that it puts there, and closed to everybody else."""

import os
import socket

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen


@pytest.fixture(params=[Home, RuntimeFolder])
def folder(request, folders):
    return request.param(folders.runtime / "thesis")


def mode_of(path):
    return path.lstat().st_mode & 0o777


@pytest.mark.parametrize(
    "name",
    [
        "ch1.tex",
        "ring-notes.txt",
        "ring-1.txt",
        "spill-1-2.csv",
        "cell-1.txt",
        "hub.log.1.gz",
        ".hidden",
        "journal.tex",
        "hub.sock.c",
        "kernel.json.bak",
    ],
)
def test_a_folder_with_anything_else_is_refused_and_left_as_it_was(folder, name):
    folder.path.mkdir(mode=0o755)
    (folder.path / name).write_text("mine")
    with pytest.raises(RequestError, match=rf"holds what no kernel made: {name}; choose another name .* set RPYC_KER"):
        folder.create()
    assert (folder.path / name).read_text() == "mine"
    assert mode_of(folder.path) == 0o755


def test_only_a_few_strange_names_are_told(folder):
    folder.path.mkdir()
    for number in range(9):
        (folder.path / f"mine{number}").touch()
    with pytest.raises(RequestError, match="mine0, mine1, mine2 and 6 more;"):
        folder.create()


def test_a_link_is_refused_and_what_it_leads_to_is_left_as_it_was(folder, tmp_path):
    (tmp_path / "there").mkdir(mode=0o755)
    folder.path.symlink_to(tmp_path / "there")
    with pytest.raises(RequestError, match="is a link or a file, no folder of a kernel; set RPYC_KERNEL_"):
        folder.create()
    assert mode_of(tmp_path / "there") == 0o755
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize("name", ["hub.lock", "hub.log", "kernel.json", "kernel.new"])
def test_a_link_where_a_kernel_would_write_is_refused(folder, tmp_path, name):
    (tmp_path / "mine").write_text("mine")
    folder.path.mkdir()
    (folder.path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(RequestError, match=rf"holds a link, .* where a kernel would write a file: {name}; remove it"):
        folder.create()
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", ["hub.lock", "hub.log", "kernel.json", "kernel.new"])
def test_a_pipe_or_a_folder_where_a_kernel_would_write_is_refused(folder, tmp_path, name, make):
    folder.path.mkdir()
    make(folder.path / name)
    try:
        with pytest.raises(RequestError, match=rf"or a pipe where a kernel would write a file: {name}; remove it"):
            folder.create()
    finally:
        (folder.path / name).rename(tmp_path / name)  # or the fixture's end would wait for the pipe


def test_a_file_in_the_way_is_refused(folder):
    folder.path.write_text("mine")
    with pytest.raises(RequestError, match="is a link or a file"):
        folder.create()
    assert folder.path.read_text() == "mine"


def test_where_nothing_can_be_made_it_is_said_what_to_set(folders):
    (folders.runtime / "file").touch()
    with pytest.raises(RequestError, match=r"cannot be used: .*; set RPYC_KERNEL_STATE_DIR"):
        Home(folders.runtime / "file" / "demo").create()


def test_removing_takes_only_what_kernels_made(folder):
    folder.create()
    folder.log_file.touch()
    folder.lock()
    (folder.path / "ch1.tex").write_text("came later")
    folder.remove()
    folder.unlock()
    assert [path.name for path in folder.path.iterdir()] == ["ch1.tex"]


def test_clearing_takes_only_what_kernels_made(folder):
    folder.create()
    folder.connection_file.touch()
    (folder.path / "ch1.tex").write_text("came later")
    folder.clear()
    assert [path.name for path in folder.path.iterdir()] == ["ch1.tex"]


@pytest.mark.parametrize("name", [".DS_Store", "._kernel.json", ".nfs000000000001", ".fuse_hidden0001"])
def test_what_file_managers_and_file_systems_leave_is_passed_over_and_left(folder, name):
    folder.create()
    (folder.path / name).write_text("theirs")
    folder.create()
    folder.remove()
    assert [path.name for path in folder.path.iterdir()] == [name]


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_the_folder_is_private_whatever_the_umask(folder, umask):
    old = os.umask(umask)
    try:
        folder.create()
    finally:
        os.umask(old)
    assert mode_of(folder.path) == 0o700


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_folders_above_it_that_are_made_too_are_private(tmp_path, umask):
    home = Home(tmp_path / "local" / "state" / "demo")
    old = os.umask(umask)
    try:
        home.create()
    finally:
        os.umask(old)
    assert [mode_of(path) for path in (tmp_path / "local", tmp_path / "local" / "state")] == [0o700] * 2


def test_files_that_others_could_read_are_closed(folder):
    folder.create()
    for name in ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "hub.log", "kernel.json"):
        (folder.path / name).touch(mode=0o666)
        (folder.path / name).chmod(0o664)
    folder.path.chmod(0o755)
    folder.create()
    assert {mode_of(path) for path in folder.path.iterdir()} == {0o600}
    assert mode_of(folder.path) == 0o700


def test_what_a_link_among_them_leads_to_is_left_as_it_was(folder, tmp_path):
    (tmp_path / "mine").touch(mode=0o644)
    folder.create()
    folder.journal.symlink_to(tmp_path / "mine")
    folder.create()
    assert mode_of(tmp_path / "mine") == 0o644


def test_sockets_and_spills_are_private_whatever_the_umask(folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    old = os.umask(0)
    try:
        with listen(folder.worker_socket, 1):
            folder.write_spill(1, 1, b"large")
            assert mode_of(folder.worker_socket) == mode_of(folder.spill(1, 1)) == 0o600
    finally:
        os.umask(old)


def test_a_spill_brings_a_folder_that_has_vanished_back(folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.write_spill(1, 1, b"large")
    assert folder.spill(1, 1).read_bytes() == b"large"


def test_a_lock_that_was_removed_is_no_longer_held(folder):
    folder.create()
    folder.lock()
    assert folder.is_held
    folder.remove()
    assert not folder.is_held
    folder.unlock()


# Another place


@pytest.fixture
def refuge(folders, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.system.runtime_folder.last_resort", lambda: folders.runtime.parent / "tmp")
    return folders.runtime.parent / "tmp"


def test_a_folder_that_can_no_longer_stand_in_its_place_goes_to_another(folders, refuge):
    (folders.runtime / "gone").touch()
    folder = RuntimeFolder(folders.runtime / "gone" / "demo")
    expected = folder.refuge
    folder.settle()
    assert folder.path == expected
    assert folder.path.parent == refuge
    assert folder.path.name.startswith("demo-")
    assert folder.hub_socket.parent == folder.path
    assert mode_of(refuge) == 0o700
    assert folder.refuge == folder.path
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder.hub_socket))


def test_kernels_of_one_name_go_to_different_places(folders, refuge):
    assert RuntimeFolder(folders.runtime / "a" / "demo").refuge != RuntimeFolder(folders.runtime / "b" / "demo").refuge


def test_where_there_is_no_other_place_the_first_trouble_is_told(folders, refuge, tmp_path):
    (folders.runtime / "gone").touch()
    refuge.symlink_to(tmp_path)
    folder = RuntimeFolder(folders.runtime / "gone" / "demo")
    with pytest.raises(RequestError, match="gone/demo cannot be used"):
        folder.settle()


def test_pictures_that_a_console_has_kept_stand_in_nobodys_way_and_go_with_the_rest(folders):
    home = Home(folders.state / "thesis")
    home.create()
    home.pictures.mkdir(mode=0o755)
    (home.pictures / "4-17.png").write_bytes(b"picture")
    home.create()
    assert mode_of(home.pictures) == 0o700
    assert (home.pictures / "4-17.png").read_bytes() == b"picture"
    home.remove()
    assert not home.path.exists()


def test_a_file_of_the_users_beside_the_pictures_stays(folders):
    home = Home(folders.state / "thesis")
    home.create()
    home.log_file.touch()
    home.pictures.mkdir()
    (home.pictures / "mine.png").write_bytes(b"mine")
    home.remove()
    assert [path.name for path in home.path.rglob("*")] == ["pictures", "mine.png"]


def test_pictures_behind_a_link_stay(folders, tmp_path):
    (tmp_path / "4-17.png").write_bytes(b"mine")
    home = Home(folders.state / "thesis")
    home.create()
    home.log_file.touch()
    home.pictures.symlink_to(tmp_path)
    home.remove()
    assert (tmp_path / "4-17.png").read_bytes() == b"mine"
