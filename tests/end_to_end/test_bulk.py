"""Copies of large values between a client and a kernel: right, bounded, and broken off without harm to anybody."""

import contextlib
import fractions
import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy
import pandas
import pytest

import rpyc_kernel
from rpyc_kernel import CallTimeout, ConnectionLost, ExecutionError, KernelClient, NotPlain, RequestError
from rpyc_kernel.client.doors import UnixDoor
from rpyc_kernel.settings import Folders
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.support.processes import HAS_PROC
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60
MEGABYTE = 1_000_000

PREPARE = """
import fractions, threading
import numpy
class Hostile:
    def __getattr__(self, name): raise RuntimeError('no ' + name)
    def __reduce_ex__(self, protocol): raise RuntimeError('no pickle')
    __class__ = property(lambda self: 1 / 0)
    __repr__ = __eq__ = __len__ = __getattr__
    def __del__(self): raise RuntimeError('no end')
deep = []
for _ in range(5000): deep = [deep]
"""


@pytest.fixture
def prepared(kernel: KernelClient) -> KernelClient:
    kernel.execute(PREPARE, timeout=DEADLINE_S)
    return kernel


@pytest.fixture(params=["unix", "tcp"])
def client(request, prepared):
    """A client by either road: on one machine through shared memory, or through a TCP socket."""
    if request.param == "unix":
        yield prepared
        return
    (found,) = rpyc_kernel.kernels()
    key = ConnectionFile.read(Folders.from_environment().runtime / "demo" / "kernel.json").key
    with rpyc_kernel.connect(f"tcp://{found.host}:{found.port}", key=key, timeout=DEADLINE_S) as client:
        yield client


def assert_goes_on(kernel: KernelClient) -> None:
    assert kernel.pull("6 * 7") == 42
    assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42


# There and back


VALUES = {
    "text": "größe",
    "what RPyC itself cannot carry": [10**5000, "\ud800", (b"", {1: None})],
    "an array": numpy.arange(12.0).reshape(3, 4),
    "a large array": numpy.arange(2_000_000),
    "a table": pandas.DataFrame({"x": numpy.arange(1000), "y": ["a"] * 1000}),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_go_there_and_back(client, value):
    client.push(value=value)
    arrived = client.pull("value")
    assert type(arrived) is type(value)
    pandas.testing.assert_frame_equal(arrived, value) if isinstance(
        value, pandas.DataFrame
    ) else numpy.testing.assert_equal(arrived, value)


def test_several_values_are_set_at_once(prepared):
    prepared.push(a=1, b=numpy.arange(3), c=fractions.Fraction(1, 3))
    assert prepared.pull("(a, b.sum(), c == fractions.Fraction(1, 3))") == (1, 3, True)


def test_slices_say_what_is_wanted(prepared):
    prepared.execute("a = numpy.arange(1_000_000.0).reshape(1000, 1000)", timeout=DEADLINE_S)
    assert prepared.pull("a[10:12, :2]").tolist() == [[10_000.0, 10_001.0], [11_000.0, 11_001.0]]


def test_a_pulled_array_is_a_copy_and_so_is_a_pushed_one(client):
    mine = numpy.zeros(500_000)
    client.push(a=mine)
    mine[0] = 1
    pulled = client.pull("a")
    pulled[1] = 2
    client.execute("a[2] = 3", timeout=DEADLINE_S)
    assert client.pull("a[:4]").tolist() == [0, 0, 3, 0]
    assert (mine[:3].tolist(), pulled[:3].tolist()) == ([1, 0, 0], [0, 2, 0])


def test_it_works_beside_code_that_runs(prepared):
    prepared.execute("gate = threading.Event()", timeout=DEADLINE_S)
    running = prepared.submit("gate.wait(60); seen = thing")
    prepared.push(thing=numpy.arange(3))
    assert prepared.pull("thing").sum() == 3
    prepared.eval("gate.set()")
    running.result(DEADLINE_S)
    assert prepared.pull("seen").sum() == 3


def test_progress_is_told(client):
    told = []
    array = numpy.zeros(3_000_000)
    client.push(a=array, progress=lambda done, total: told.append((done, total)))
    client.pull("a", progress=lambda done, total: told.append((done, total)))
    assert told.count((array.nbytes, array.nbytes)) == 2


# What is wrong is an error for that call alone


WRONG = {
    "an expression that raises": ("1 / 0", ExecutionError, "ZeroDivisionError"),
    "one that is none": ("x = 1", ExecutionError, "SyntaxError"),
    "one that exits": ("exit()", ExecutionError, "SystemExit"),
    "an object": ("object()", NotPlain, "pass allow_pickle=True"),
    "a hostile object": ("Hostile()", NotPlain, "pass allow_pickle=True"),
    "a deep structure": ("deep", NotPlain, "nested this deep"),
    "an array of objects": ("numpy.array([object()])", NotPlain, "an array of objects"),
}


@pytest.mark.parametrize(("expression", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_pulled_is_an_error(prepared, expression, error, message):
    with pytest.raises(error, match=message):
        prepared.pull(expression)
    assert_goes_on(prepared)


@pytest.mark.parametrize("expression", ["lambda: 0", "Hostile()", "threading.Lock()"])
def test_what_cannot_be_pickled_is_an_error(prepared, expression):
    with pytest.raises(RequestError, match="cannot be pickled"):
        prepared.pull(expression, allow_pickle=True)
    assert_goes_on(prepared)


def test_pickles_are_opened_where_they_are_allowed(prepared):
    assert prepared.pull("fractions.Fraction(1, 3)", allow_pickle=True) == fractions.Fraction(1, 3)


def test_more_than_is_wanted_is_refused(client):
    with pytest.raises(RequestError, match="8000000 bytes, over the limit of 1000000"):
        client.pull("numpy.zeros(1_000_000)", max_bytes=MEGABYTE)
    assert_goes_on(client)


def test_a_value_of_too_many_parts_is_refused(client):
    with pytest.raises(RequestError, match="too many parts"):
        client.pull("[b'x'] * 100_001")
    assert_goes_on(client)


RELAY = """
import socket, sys, threading
def pump(a, b):
    while data := a.recv(65536): b.sendall(data)
    b.shutdown(socket.SHUT_WR)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print('listening', flush=True)
    while True:
        near, far = listener.accept()[0], socket.socket(socket.AF_UNIX)
        far.connect(sys.argv[2])
        for ends in ((near, far), (far, near)): threading.Thread(target=pump, args=ends, daemon=True).start()
"""


def test_a_unix_socket_that_is_passed_on_carries_large_values_too(prepared, folders):
    """As `ssh -L` does it, descriptors do not come along."""
    file = ConnectionFile.read(folders.runtime / "demo" / "kernel.json")
    path = str(folders.runtime / "relay")
    command = [sys.executable, "-c", RELAY, path, file.unix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as relay:
        try:
            assert relay.stdout.readline() == b"listening\n"
            with rpyc_kernel.connect(f"unix://{path}", key=file.key, timeout=DEADLINE_S) as client:
                assert client.pull("numpy.arange(3_000_000.0)")[-1] == 2_999_999
                client.push(back=numpy.zeros(3_000_000))
                assert client.pull("back.shape") == (3_000_000,)
        finally:
            relay.kill()


@pytest.mark.parametrize(
    ("values", "message"),
    [({"f": lambda: 0}, "f: a function cannot"), ({"1x": 1}, "cannot be the name"), ({"if": 1}, "cannot be the name")],
)
def test_what_cannot_be_pushed_is_an_error_and_changes_nothing(prepared, values, message):
    with pytest.raises(RequestError, match=message):
        prepared.push(good=1, **values)
    with pytest.raises(ExecutionError, match="NameError"):
        prepared.pull("good")


def test_what_the_worker_cannot_rebuild_is_an_error_and_changes_nothing(prepared):
    class Local:
        def __reduce__(self):
            return eval, ("1 / 0",)

    with pytest.raises(RequestError, match="cannot be opened here: ZeroDivisionError"):
        prepared.push(good=1, bad=Local())
    with pytest.raises(ExecutionError, match="NameError"):
        prepared.pull("good")
    assert_goes_on(prepared)


def test_a_viewer_may_not(prepared, connect):
    with pytest.raises(rpyc_kernel.NotPermitted, match="here as viewer"):
        connect(role="viewer").pull("1")


def test_no_room_in_shared_memory_is_not_the_end(prepared):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, before[1]))
    try:
        prepared.push(a=numpy.arange(3 * MEGABYTE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert prepared.pull("a.sum()") == sum(range(3 * MEGABYTE))


# Broken off


def test_an_expression_that_takes_too_long_is_a_time_out(client):
    client.execute("gate = threading.Event()", timeout=DEADLINE_S)
    with pytest.raises(CallTimeout):
        client.pull("gate.wait(60)", timeout=0.05)
    client.eval("gate.set()")
    assert_goes_on(client)


def test_a_transfer_that_its_caller_breaks_off_leaves_the_client_usable(client):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            client.pull("numpy.zeros(5_000_000)", progress=stop)
        with pytest.raises(KeyboardInterrupt):
            client.push(a=numpy.zeros(5_000_000), progress=stop)
        assert_goes_on(client)


def test_ctrl_c_while_an_expression_is_evaluated_leaves_the_client_usable(client):
    client.execute("gate, begun = threading.Event(), threading.Event()", timeout=DEADLINE_S)
    main_thread = threading.main_thread().ident

    def interrupt():
        client.eval("begun.wait(60)")
        signal.pthread_kill(main_thread, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        client.pull("begun.set() or gate.wait(60)")
    interrupting.join(DEADLINE_S)
    client.eval("gate.set()")
    assert_goes_on(client)


def test_a_new_worker_is_found_without_a_word(client):
    assert client.pull("6 * 7") == 42
    client.restart()
    assert_goes_on(client)


ENDLESS = "type('Slow', (), {'__reduce__': lambda self: begun.set() or gate.wait(60) or (int, ())})()"


@pytest.mark.parametrize("where", ["while it evaluates", "while it sends", "while it is idle"])
def test_a_worker_that_is_killed_is_an_error_at_once_and_leaves_nothing(client, where):
    client.execute(
        "gate, begun = threading.Event(), threading.Event()\nlarge = numpy.zeros(20_000_000)", timeout=DEADLINE_S
    )
    worker = client.status()["worker_pid"]
    moments = []

    def kill(done=1, total=1):
        if done and not moments:
            moments.append(time.monotonic())
            os.kill(worker, signal.SIGKILL)

    if where == "while it is idle":
        assert client.pull("1") == 1
        kill()
        wait_until(lambda: client.status()["worker_pid"] not in (None, worker), DEADLINE_S)
        assert_goes_on(client)
        return
    if where == "while it evaluates":
        killing = threading.Thread(target=lambda: (client.eval("begun.wait(60)"), kill()))
        killing.start()
        with pytest.raises(ConnectionLost):
            client.pull("begun.set() or gate.wait(60)")
        killing.join(DEADLINE_S)
    elif isinstance(client._address.door, UnixDoor):
        # Nothing is on its way: what was sent is here already, in memory that belongs to the receiver.
        assert client.pull("large", progress=kill).sum() == 0
    else:
        with pytest.raises(ConnectionLost):
            client.pull("large", progress=kill)
    assert time.monotonic() - moments[0] < DEADLINE_S / 2
    wait_until(lambda: client.status()["worker_pid"] not in (None, worker), DEADLINE_S)
    assert_goes_on(client)


def shared_memories(pid: int) -> int:
    """How many shared memories a process has mapped, or else holds open."""
    with open(f"/proc/{pid}/maps") as maps:
        mapped = sum("memfd:rpyc_kernel" in line for line in maps)
    opened = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            opened += "memfd:rpyc_kernel" in os.readlink(f"/proc/{pid}/fd/{descriptor}")
    return max(mapped, opened)


@pytest.mark.skipif(not HAS_PROC, reason="shared memory is looked for in /proc")
def test_shared_memory_goes_with_the_last_array_that_lies_in_it(prepared):
    worker = prepared.status()["worker_pid"]
    prepared.push(a=numpy.zeros(3 * MEGABYTE))
    wait_until(lambda: shared_memories(worker) == 1, DEADLINE_S, "the array's memory alone")
    gc.collect()  # what an earlier test left in a cycle
    before = shared_memories(os.getpid())
    pulled = prepared.pull("a")
    assert shared_memories(os.getpid()) == before + 1
    wait_until(lambda: shared_memories(worker) == 1, DEADLINE_S, "the array's memory alone")
    prepared.execute("del a", timeout=DEADLINE_S)
    del pulled
    assert shared_memories(os.getpid()) == before
    wait_until(lambda: shared_memories(worker) == 0, DEADLINE_S, "the thread that sent it to let it go")


STOPPED = """
import numpy, os, signal, sys, rpyc_kernel
kernel = rpyc_kernel.connect('demo', timeout=60)
if sys.argv[1] == 'tcp':
    found = rpyc_kernel.kernels()[0]
    kernel = rpyc_kernel.connect(f'tcp://{found.host}:{found.port}', key=sys.argv[3], timeout=60)
def die(done, total):
    if done: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == 'pull': kernel.pull('numpy.zeros(20_000_000)', progress=die)
else: kernel.push(half=numpy.zeros(20_000_000), progress=die)
"""


@pytest.mark.parametrize("road", ["unix", "tcp"])
@pytest.mark.parametrize("direction", ["pull", "push"])
def test_a_client_that_is_killed_in_the_middle_leaves_nothing(prepared, tmp_path, road, direction):
    worker = prepared.status()["worker_pid"]
    key = ConnectionFile.read(Folders.from_environment().runtime / "demo" / "kernel.json").key
    program = tmp_path / "client.py"
    program.write_text(STOPPED)
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, str(program), road, direction, key])
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    names = (
        f"tuple(thread.name for thread in threading.enumerate() if thread.name.startswith('bulk') and {os.getpid()})"
    )
    wait_until(lambda: not prepared.eval(names), DEADLINE_S)
    if road == "tcp":
        with pytest.raises(ExecutionError, match="NameError"):
            prepared.pull("half")
    prepared.execute("globals().pop('half', None); None", timeout=DEADLINE_S)  # shared memory may have come as a whole
    wait_until(lambda: shared_memories(worker) == 0, DEADLINE_S, "the memory to be given back")
    assert_goes_on(prepared)


def test_transfers_at_once_do_not_disturb_each_other(client):
    client.execute("a = [numpy.full(300_000, number) for number in range(8)]", timeout=DEADLINE_S)
    wrong = []

    def work(number: int) -> None:
        for _ in range(5):
            if not (client.pull(f"a[{number}]") == number).all():
                wrong.append(number)
            client.push(**{f"b{number}": numpy.full(200_000, number)})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert wrong == []
    assert client.pull("[int(globals()[f'b{number}'].sum()) for number in range(8)]") == [200_000 * n for n in range(8)]


def test_closing_the_client_ends_its_transfers(prepared, connect):
    client = connect()
    client.execute("gate, begun = threading.Event(), threading.Event()", timeout=DEADLINE_S)
    errors = []

    def pull():
        try:
            client.pull("begun.set() or gate.wait(60)")
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    pulling = threading.Thread(target=pull)
    pulling.start()
    prepared.eval("begun.wait(60)")
    client.close()
    pulling.join(DEADLINE_S)
    prepared.eval("gate.set()")
    assert [type(error) for error in errors] == [ConnectionLost]
