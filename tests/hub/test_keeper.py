"""What a kernel is found by comes back when it vanishes."""

import shutil

import pytest

from rpyc_kernel.hub.keeper import Keeper
from rpyc_kernel.hub.place import take_place
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen
from rpyc_kernel.wire.connection_file import ConnectionFile


class Doors:
    """Stands for the hub's sockets."""

    def __init__(self, place):
        self.place = place
        self.reopen()

    @property
    def are_there(self):
        return self.place.folder.hub_socket.exists()

    def reopen(self):
        self.place.folder.hub_socket.touch()


@pytest.fixture(params=[False, True], ids=["with a home", "private"])
def place(request, folders, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.system.runtime_folder.last_resort", lambda: folders.runtime.parent / "tmp")
    place = take_place("demo", folders, is_private=request.param)
    yield place
    place.home.unlock()
    place.folder.unlock()


@pytest.fixture
def keeper(place):
    keeper = Keeper(place, ConnectionFile("demo", "", 0, "6b" * 32, "", 7), Doors(place))
    keeper.publish(8, 1, "")
    return keeper


def test_what_there_is_is_left_alone(keeper, place):
    listen(place.folder.worker_socket, 1).close()
    before = {path: path.stat().st_ino for path in (*place.folder.path.iterdir(), *place.home.path.iterdir())}
    asked = []
    keeper.look(asked.append)
    assert asked == []
    assert before == {path: path.stat().st_ino for path in (*place.folder.path.iterdir(), *place.home.path.iterdir())}


def test_a_folder_that_vanished_is_made_again_with_all_that_leads_to_the_kernel(keeper, place):
    shutil.rmtree(place.folder.path)
    asked = []
    keeper.look(asked.append)
    assert asked == [str(place.folder.path)]
    assert place.folder.hub_socket.exists()
    assert place.folder.is_held
    files = {ConnectionFile.read(folder.connection_file) for folder in (place.folder, place.home)}
    assert {(file.key, file.worker_pid, file.unix) for file in files} == {("6b" * 32, 8, str(place.folder.hub_socket))}


def test_a_worker_whose_socket_is_something_else_now_is_asked_to_listen(keeper, place):
    place.folder.worker_socket.touch()
    asked = []
    keeper.look(asked.append)
    assert asked == [str(place.folder.path)]


def test_while_there_is_no_worker_nobody_is_asked(keeper, place):
    shutil.rmtree(place.folder.path)
    keeper.look(None)
    assert place.folder.hub_socket.exists()


@pytest.mark.parametrize("name", ["hub.sock", "kernel.json", "hub.lock"])
def test_each_file_that_a_cleaner_takes_comes_back(keeper, place, name):
    (place.folder.path / name).unlink()
    keeper.look(None)
    assert (place.folder.path / name).exists()
    assert place.folder.is_held


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b"[1]"])
def test_a_connection_file_that_was_damaged_is_written_again(keeper, place, damage):
    for folder in (place.folder, place.home):
        folder.connection_file.write_bytes(damage)
        keeper.look(None)
        assert ConnectionFile.read(folder.connection_file).worker_pid == 8


def test_without_a_place_for_it_the_folder_goes_elsewhere_and_the_home_says_where(keeper, place, folders):
    shutil.rmtree(folders.runtime)
    folders.runtime.touch()
    keeper.look(None)
    assert place.folder.path.parent == folders.runtime.parent / "tmp"
    assert ConnectionFile.read(place.home.connection_file).unix == str(place.folder.hub_socket)
    assert place.folder.is_held
    folders.runtime.unlink()


def test_a_folder_that_somebody_took_meanwhile_is_left_to_them(keeper, place, folders):
    shutil.rmtree(place.folder.path)
    other = RuntimeFolder(place.folder.path)
    other.create()
    other.lock()
    keeper.look(None)
    assert place.folder.path.parent == folders.runtime.parent / "tmp"
    assert other.is_held
    other.unlock()


def test_a_home_that_was_removed_is_made_again_with_its_lock(keeper, place):
    shutil.rmtree(place.home.path)
    keeper.look(None)
    assert place.home.is_held
    assert Home(place.home.path).has_hub
    assert place.home.connection_file.exists()


def test_what_is_in_the_way_is_said_once_and_tried_again(keeper, place, caplog, monkeypatch):
    shutil.rmtree(place.folder.path)
    with monkeypatch.context() as context:
        context.setattr(RuntimeFolder, "lock", lambda self: open("/nowhere/at/all"))  # noqa: SIM115 - it fails
        for _ in range(3):
            keeper.look(None)
    assert [record.levelname for record in caplog.records].count("ERROR") == 1
    keeper.look(None)
    assert place.folder.is_held


def test_while_there_is_no_room_for_the_home_each_thing_in_the_way_is_said_once_and_the_rest_is_kept(
    folders, tmp_path, caplog
):
    place = take_place("demo", folders, is_private=False)
    keeper = Keeper(place, ConnectionFile("demo", "", 0, "6b" * 32, "", 7), Doors(place))
    shutil.rmtree(place.home.path)
    place.home.path.touch()
    asked = []
    for _ in range(3):
        keeper.look(asked.append)
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == len(set(said)) > 0
    assert asked == [str(place.folder.path)] * 3
    assert ConnectionFile.read(place.folder.connection_file).unix == str(place.folder.hub_socket)
    place.home.path.unlink()
    keeper.look(None)
    assert place.home.is_held
    place.home.unlock()
    place.folder.unlock()
