"""Where a kernel is: what a name, a file or an address leads to, and what is said when it leads nowhere."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.client import address, doors
from rpyc_kernel.client.address import Address, from_file, read_running, resolve
from rpyc_kernel.client.doors import TcpDoor, UnixDoor
from rpyc_kernel.client.launch import stop_orphan
from rpyc_kernel.errors import BadName, CallTimeout, ConnectionFailed, NoSuchKernel, RequestError
from rpyc_kernel.frozen import changed
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen
from rpyc_kernel.wire import connection_file
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.handshake import Identity
from rpyc_kernel.wire.keys import Key
from tests.support.processes import HAS_PROC

KEY = "6b" * 32
NOBODY = 2**22 + 1


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv("RPYC_KERNEL_KEY", raising=False)


@pytest.fixture
def folder(folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    return folder


def describe(folder, **changes):
    """Write a connection file."""
    file = ConnectionFile("demo", "127.0.0.1", 4000, KEY, str(folder.path / "hub.sock"), 1, NOBODY, 2, 3.0)
    file = changed(file, **changes)
    file.write(folder.connection_file)
    return file


@contextlib.contextmanager
def running(folder):
    """As if a hub held the lock."""
    folder.lock()
    try:
        yield
    finally:
        os.close(folder._lock)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("train", ""),
        ("/run/train/kernel.json", ""),
        ("ssh://ann@gpu:2222/train", "gpu"),
        ("rpyc+tls://[fe80::1]:4300/train", "fe80::1"),
        ("unix:///run/train/hub.sock", ""),
        ("tcp://[fe80", ""),
    ],
)
def test_an_address_names_a_machine(target, host):
    assert address.host_of(target) == host


# By name


def test_a_name_leads_to_the_socket_of_a_running_hub(folder):
    describe(folder)
    folder.hub_socket.touch()
    with running(folder):
        assert resolve("demo") == Address("kernel 'demo'", Key(b"k" * 32), UnixDoor(str(folder.hub_socket)))


def test_without_its_socket_a_hub_is_reached_by_tcp(folder):
    describe(folder)
    with running(folder):
        assert resolve("demo").door == TcpDoor("127.0.0.1", 4000)


@contextlib.contextmanager
def listening(folder):
    """As if a hub's socket were there."""
    with listen(folder.hub_socket, 1):
        yield


@pytest.fixture
def home(folders):
    home = Home(folders.state / "demo")
    home.create()
    return home


def test_an_address_leads_to_the_socket_where_it_is_now(folder, home, folders):
    known = from_file(describe(folder, home=str(home.path)))
    known = changed(known, door=UnixDoor(str(folder.hub_socket), str(home.path)))
    moved = RuntimeFolder(folders.runtime / "moved")
    moved.create()
    describe(home, unix=str(moved.hub_socket), home=str(home.path))
    with running(home), listening(moved):
        known.open(1)[0].close()


def test_an_address_leads_to_nothing_that_does_not_listen(folder, home, folders, monkeypatch):
    monkeypatch.setattr(doors, "DOOR_S", 0.1)
    known = Address("kernel 'demo'", Key(bytes.fromhex(KEY)), UnixDoor(str(folder.hub_socket), str(home.path)))
    moved = RuntimeFolder(folders.runtime / "moved")
    moved.create()
    describe(home, unix="", home=str(home.path))
    with running(home), listening(moved), pytest.raises(ConnectionFailed, match="No such file"):
        known.open(1)


def test_nobody_waits_for_the_socket_of_a_hub_that_is_gone(folder, home, monkeypatch):
    monkeypatch.setattr(doors, "DOOR_S", 3600.0)
    known = Address("kernel 'demo'", Key(bytes.fromhex(KEY)), UnixDoor(str(folder.hub_socket), str(home.path)))
    with pytest.raises(NoSuchKernel, match="kernel 'demo' is not running"):
        known.open(3600)


def test_a_kernel_whose_hub_died_or_whose_home_has_vanished_may_be_there_again(folder, home):
    known = Address("kernel 'demo'", Key(bytes.fromhex(KEY)), UnixDoor(str(folder.hub_socket), str(home.path)))
    describe(home)  # which a hub takes away when it ends by itself
    with pytest.raises(ConnectionFailed, match="kernel 'demo' is not running"):
        known.open(1)
    home.leave()
    elsewhere = UnixDoor(str(folder.hub_socket), str(home.path / "vanished"))
    with pytest.raises(ConnectionFailed):
        Address("kernel 'demo'", Key(bytes.fromhex(KEY)), elsewhere).open(1)


def test_of_a_hub_without_a_port_it_is_told_that_only_its_socket_leads_to_it(folder):
    describe(folder, host="", port=0)
    with pytest.raises(ConnectionFailed, match="no TCP port"):
        from_file(ConnectionFile.read(folder.connection_file)).open(1)


def test_a_kernel_that_never_ran_is_not_there_and_the_remedy_is_told(folders):
    with pytest.raises(NoSuchKernel, match=r"^kernel 'demo' is not running; start it with 'rpyc-kernel start demo'$"):
        resolve("demo")


def test_of_a_kernel_that_is_gone_is_told_when_it_was_last_seen(folder):
    describe(folder)
    os.utime(folder.connection_file, (0, 86400 * 365))
    with pytest.raises(NoSuchKernel, match=r"not running \(last seen 197\d-.* start demo'"):
        resolve("demo")


def test_of_a_kernel_that_lost_its_hub_is_told_that_its_worker_lives(folder):
    describe(folder, worker_pid=os.getpid())
    with pytest.raises(
        NoSuchKernel, match=rf"its worker \(process {os.getpid()}\) still holds the namespace; take it up"
    ):
        read_running("demo")


@pytest.mark.skipif(not HAS_PROC, reason="when a process was born is read from /proc")
def test_a_later_process_of_the_workers_number_is_not_the_worker(folder):
    describe(folder, worker_pid=os.getpid(), worker_birth="1")
    with pytest.raises(NoSuchKernel, match="not running"):
        read_running("demo")
    assert rpyc_kernel.kernels() == []
    assert not stop_orphan("demo")


@pytest.mark.parametrize("name", ["", "..", "a b", "-x"])
def test_a_name_no_kernel_can_have_is_refused(folders, name):
    with pytest.raises(BadName):
        resolve(name)


# By file


def test_a_connection_file_is_read_wherever_it_is(folder, tmp_path):
    describe(folder)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_bytes(folder.connection_file.read_bytes())
    assert resolve(elsewhere) == resolve(str(elsewhere)) == from_file(ConnectionFile.read(elsewhere))


def test_a_file_in_this_folder_is_known_by_its_ending(folder, tmp_path, monkeypatch):
    describe(folder)
    (tmp_path / "here.json").write_bytes(folder.connection_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert resolve("here.json").door == TcpDoor("127.0.0.1", 4000)


def test_a_connection_file_is_private_and_replaced_in_one_step(folder):
    describe(folder)
    before = folder.connection_file.stat().st_ino
    describe(folder, port=5000)
    after = folder.connection_file.stat()
    assert after.st_mode & 0o777 == 0o600
    assert after.st_ino != before
    assert sorted(path.name for path in folder.path.iterdir()) == ["kernel.json"]


def test_a_connection_file_of_a_later_release_can_be_read(folder):
    file = describe(folder)
    content = json.loads(folder.connection_file.read_text())
    folder.connection_file.write_text(json.dumps({**content, "something_new": 1}))
    assert ConnectionFile.read(folder.connection_file) == file


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"null", b'"name"', b'{"name": "demo"}', b"\xff", b"RUNNING"],
)
def test_a_file_that_is_none_is_no_kernel(tmp_path, content):
    (tmp_path / "kernel.json").write_bytes(content)
    with pytest.raises(NoSuchKernel, match="is not a kernel's connection file"):
        resolve(tmp_path / "kernel.json")


@pytest.mark.parametrize("key", ["no hexadecimal", 3, None, "6"])
def test_a_file_with_a_key_that_is_none_is_no_kernel(folder, key):
    describe(folder, key=key)
    with pytest.raises(NoSuchKernel, match="is not a kernel's connection file"):
        resolve(folder.connection_file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NoSuchKernel, match=r"there is no connection file .*gone\.json"):
        resolve(tmp_path / "gone.json")
    with pytest.raises(NoSuchKernel, match="is not a kernel's connection file"):
        resolve(tmp_path)


# By address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp://127.0.0.1:4000", "127.0.0.1", 4000),
        ("tcp://somewhere.example:1", "somewhere.example", 1),
        ("tcp://[::1]:4000", "::1", 4000),
    ],
)
def test_a_tcp_address_needs_a_key(text, host, port, monkeypatch):
    with pytest.raises(RequestError, match="needs the kernel's key; set RPYC_KERNEL_KEY"):
        resolve(text)
    given = "the key that was given"
    assert resolve(text, KEY) == Address(text, Key(b"k" * 32), TcpDoor(host, port), key_source=given)
    monkeypatch.setenv("RPYC_KERNEL_KEY", KEY)
    assert resolve(text).key == resolve(text, KEY).key


def test_the_key_of_a_unix_address_may_lie_beside_it(folder):
    describe(folder)
    text = f"unix://{folder.hub_socket}"
    assert resolve(text) == Address(text, Key(b"k" * 32), UnixDoor(str(folder.hub_socket)))
    assert resolve(text, "00").key == Key(b"\0")


def test_a_unix_address_without_a_key_is_refused(tmp_path):
    with pytest.raises(RequestError, match="needs the kernel's key"):
        resolve(f"unix://{tmp_path}/hub.sock")


def test_an_address_of_another_kind_is_refused_for_what_it_is_and_not_for_its_key():
    with pytest.raises(RequestError, match="'http://somewhere/demo' is no kernel's address; use a name"):
        resolve("http://somewhere/demo")


@pytest.mark.parametrize(
    "text",
    [
        "tcp://",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:99999",
        "tcp://host:port",
        "tcp://:4000",
        "tcp://[::1",
        "unix://",
        "http://host:80",
        "://",
        "ssh://",
    ],
)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(RequestError):
        resolve(text, KEY)


def test_a_key_that_is_none_is_refused():
    with pytest.raises(RequestError, match="cannot be understood"):
        resolve("tcp://127.0.0.1:4000", "no hexadecimal")


# Connecting


def test_a_socket_is_opened_to_where_the_address_says(tmp_path, folders):
    path = folders.runtime / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with Address("it", Key(b""), UnixDoor(str(path))).open(10.0)[0] as opened:
            assert opened.getpeername() == str(path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with Address("it", Key(b""), TcpDoor(host, port)).open(10.0)[0] as opened:
            assert opened.getpeername() == (host, port)


@pytest.mark.parametrize("socket_name", ["", "there", "x" * 200])
def test_where_nobody_listens_that_is_said(tmp_path, socket_name):
    with socket.socket() as taken:  # bound, so that nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        door = UnixDoor(str(tmp_path / socket_name)) if socket_name else TcpDoor("127.0.0.1", port)
        nowhere = Address("kernel 'demo'", Key(b""), door)
        with pytest.raises(ConnectionFailed, match="cannot connect to kernel 'demo': "):
            nowhere.open(10.0)


def test_finding_an_address_loads_no_rpyc():
    """The command line asks for addresses often, and RPyC takes a tenth of a second to load."""
    code = "import sys, rpyc_kernel.client.address; print('rpyc' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(address.__file__).parents[2])}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


@pytest.mark.parametrize(
    ("target", "key", "source"),
    [
        ("tcp://127.0.0.1:1", "00", "the key that was given"),
        ("tcp://127.0.0.1:1", None, "the key in RPYC_KERNEL_KEY"),
        ("unix:///nowhere/hub.sock", None, "the key in RPYC_KERNEL_KEY"),
        ("rpyc+tls://127.0.0.1:1/demo", "00", "the key that was given"),
        ("rpyc+tls://127.0.0.1:1/demo", None, "the key in RPYC_KERNEL_KEY"),
    ],
)
def test_where_a_key_came_from_is_known(
    monkeypatch: pytest.MonkeyPatch, target: str, key: str | None, source: str
) -> None:
    monkeypatch.setenv("RPYC_KERNEL_KEY", "01")
    assert address.resolve(target, key).key_source == source


@pytest.mark.parametrize(
    ("shown", "command"),
    [("kernel 'train'", "'rpyc-kernel list'"), ("ssh://ann@gpu/train", "'rpyc-kernel list ssh://ann@gpu/'")],
)
def test_where_a_hub_says_nothing_a_command_lists_what_runs_on_its_machine(shown, command):
    ours, theirs = socket.socketpair()

    class Silent:
        def open(self, timeout_s):
            return ours, b""

    with theirs, pytest.raises(CallTimeout, match=f"; {command} shows what runs on its machine"):
        Address(shown, Key(bytes.fromhex(KEY)), Silent()).enter(0, Identity("s", "ann", "owner"), 0.01)


def test_a_program_without_descriptors_is_told_so_and_of_no_kernel_that_it_is_gone(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    describe(folder)
    with running(folder):
        monkeypatch.setattr(connection_file, "_open_at_once", refuse)
        with pytest.raises(ConnectionFailed, match=r"cannot .*Too many open files"):
            resolve("demo")
        with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
            patch.setattr(os, "open", refuse)
            folder.has_hub  # noqa: B018
