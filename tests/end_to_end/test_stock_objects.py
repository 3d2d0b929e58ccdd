"""A client that has only RPyC gets live objects, classic RPyC and the kernel's queue by one connection."""

import io
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import rpyc
from rpyc.utils.factory import unix_connect

from rpyc_kernel import ExecutionInterrupted, KernelClient
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders
from tests.support.processes import HAS_PROC
from tests.support.waiting import wait_until
from tests.wire.peers import drop_stock

pytestmark = pytest.mark.shares_kernel


@pytest.fixture
def open_stock(kernel: KernelClient, folders: Folders):
    """Opens stock connections to the kernel's worker."""
    opened = []

    def connect(unix_connect=rpyc.classic.unix_connect, *service):
        connection = unix_connect(str(folders.runtime / "demo" / "objects.sock"), *service)
        connection._config["sync_request_timeout"] = PATIENCE_S
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        drop_stock(connection)


@pytest.fixture
def stock(open_stock):
    return open_stock()


# ---- classic RPyC ----


def test_classic_rpyc_works_on_the_namespace_that_all_share(kernel, stock):
    stock.execute("shared = [1, 2]")
    stock.namespace["shared"].append(3)
    assert kernel.eval("shared") == [1, 2, 3]
    assert stock.eval("len(shared)") == 3
    assert stock.builtin.sum(stock.namespace["shared"]) == 6
    assert stock.modules.os.getpid() == kernel.status()["worker_pid"]
    assert stock.modules["xml.dom.minidom"].Document.__name__ == "Document"
    assert "no_such_module" not in stock.modules
    with pytest.raises(ZeroDivisionError):
        stock.execute("1 / 0")
    assert isinstance(stock.namespace["shared"], list)
    assert isinstance(stock.eval("KeyError()"), stock.builtin.KeyError)


def test_the_functions_of_classic_rpyc_work(stock, tmp_path, monkeypatch):
    classic = rpyc.classic
    assert classic.obtain(stock.eval("{'a': [1]}")) == {"a": [1]}
    assert classic.deliver(stock, [1, 2]) == [1, 2]
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "file").write_bytes(os.urandom(100_000))
    classic.upload(stock, str(tmp_path / "from"), str(tmp_path / "there"))
    classic.download(stock, str(tmp_path / "there"), str(tmp_path / "back"))
    assert (tmp_path / "back" / "file").read_bytes() == (tmp_path / "from" / "file").read_bytes()
    assert list(rpyc.buffiter(stock.builtin.range(1000), 100)) == list(range(1000))
    assert stock.teleport(lambda x: x + 1)(1) == 2
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    with classic.redirected_stdio(stock):
        stock.execute("print('here')")
    stock.execute("print('there')")
    assert printed.getvalue() == "here\n"


def test_the_last_traceback_can_be_looked_at(stock):
    assert stock.root.getconn()._last_traceback is None
    with pytest.raises(KeyError):
        stock.eval("{}[1]")
    trace = stock.root.getconn()._last_traceback
    while trace.tb_next is not None:
        trace = trace.tb_next
    assert trace.tb_frame.f_code.co_name == "<module>"


@pytest.mark.parametrize("service", [(), (rpyc.VoidService,), (rpyc.SlaveService,), (rpyc.core.service.ClassicClient,)])
def test_any_service_of_the_client_will_do(open_stock, service):
    root = open_stock(unix_connect, *service).root
    assert root.eval("6 * 7") == 42
    assert root.modules.os.sep == os.sep
    assert root.builtins.len((1, 2)) == 2


def test_code_calls_what_a_client_hands_over_while_that_waits(stock):
    got = []
    stock.eval("lambda call: [call(x) for x in range(3)]")(got.append)
    assert got == [0, 1, 2]
    stock.namespace["call"] = got.append
    stock.root.run("for x in range(3): call(-x)")  # on the main thread, in its turn
    assert got[3:] == [0, -1, -2]


# ---- asynchronous results ----


def test_results_come_when_they_are_there_and_the_connection_serves_meanwhile(kernel, stock):
    kernel.execute("import threading; gate = threading.Event()")
    run = rpyc.async_(stock.root.run)
    first, second = run("gate.wait(); 'first'"), run("'second'")
    assert stock.eval("1 + 1") == 2
    assert not first.ready
    stock.namespace["gate"].set()
    assert (second.value, first.value) == ("second", "first")
    failed = run("1 / 0")
    failed.wait()
    assert failed.error
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        _ = failed.value
    assert "1 / 0" in str(caught.value)


def test_code_that_is_awaited_is_interrupted_by_the_same_connection(stock):
    spinning = stock.root.submit("print('spinning')\nwhile True: pass")
    wait_until(lambda: spinning.stdout == "spinning\n", PATIENCE_S)
    assert not spinning.ready
    assert not spinning.error
    with pytest.raises(TimeoutError, match="it goes on"):
        spinning.wait(0.01)
    assert stock.root.interrupt() == spinning.number
    with pytest.raises(Exception, match="KeyboardInterrupt") as caught:
        _ = spinning.value
    assert type(caught.value).__name__.endswith("ExecutionInterrupted")
    assert (spinning.ready, spinning.error) == (True, True)


def test_a_submission_has_its_value_its_output_and_its_end(kernel, stock):
    kernel.execute("import threading; gate = threading.Event()")
    held = stock.root.submit("gate.wait(); print('out'); import sys; print('err', file=sys.stderr); [held := 1]")
    waiting, dropped = stock.root.submit("None"), stock.root.submit("2")
    assert dropped.cancel() == dropped.number
    kernel.eval("gate.set()")
    assert held.result(PATIENCE_S) == [1]
    assert isinstance(held.value, list)
    assert (held.stdout, held.stderr, held.ready, held.error) == ("out\n", "err\n", True, False)
    assert waiting.value is None
    with pytest.raises(Exception, match="was cancelled"):
        dropped.wait() or dropped.result()
    failing = stock.root.submit("class Mine(Exception): pass\nraise Mine('reason')")
    with pytest.raises(Exception, match="Mine: reason") as caught:
        failing.result(PATIENCE_S)
    assert caught.value.ename == "Mine"
    assert repr(failing).endswith("(error)>")


def test_the_hub_is_asked_in_the_clients_own_session(kernel, stock):
    root = stock.root
    mine = dict(root.kernel.hello())["session"]
    (me,) = [dict(session) for session in dict(root.status())["sessions"] if dict(session)["id"] == mine]
    assert (me["name"].startswith("rpyc-"), me["connections"]) == (True, 1)
    number = root.kernel.execute(code="1", lane="side")
    queued = next(event for event in kernel.execution(number).events() if event.kind == "queued")
    assert queued.session == mine
    root.run("stock_made = 1")
    assert "stock_made" in root.variables()
    assert "stock_made" in root.complete("stock_m")
    with pytest.raises(Exception, match=r"execute takes no .*kode.*, but code, stop_on_error"):
        root.kernel.execute(kode="1")
    with pytest.raises(Exception, match="code must be str, not int"):
        root.kernel.execute(1)
    drop_stock(stock)
    wait_until(lambda: mine not in [s["id"] for s in kernel.sessions() if s["connections"]], PATIENCE_S)


# ---- what it may do to others ----


def test_code_that_waits_for_a_client_that_answers_nothing_can_be_interrupted(kernel, stock):
    stock.namespace["call"] = lambda: "never asked for"
    run = kernel.submit("print('begun'); call()")
    wait_until(lambda: run.stdout, PATIENCE_S)
    kernel.interrupt()
    with pytest.raises(ExecutionInterrupted):
        run.result(PATIENCE_S)
    assert "call" in [variable.name for variable in kernel.variables()]
    assert kernel.execute("del call; 6 * 7").value == 42


@pytest.mark.skipif(not HAS_PROC, reason="counts threads and descriptors in /proc")
def test_nothing_is_left_of_those_who_talk_nonsense_or_go_in_the_middle_of_something(kernel, open_stock, folders):
    def count():
        status = kernel.status()
        counts = []
        for pid in (status["hub_pid"], status["worker_pid"]):
            open_files = []
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):  # it was closed just now
                    open_files.append(os.readlink(entry))
            # Of files, SQLite keeps some that it has closed.
            counts += [len(os.listdir(f"/proc/{pid}/task")), sum(name.startswith("socket:") for name in open_files)]
        return counts

    def come_and_go():
        for door in ("objects.sock", "rpyc.sock"):
            for nonsense in (b"", b"\0", bytes(100), b"\xff" * 100, b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\5\0"):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(str(folders.runtime / "demo" / door))
                    with suppress(OSError):  # it is cut off
                        sock.sendall(nonsense)
        for expression in ("'x' * 30_000_000", "__import__('time').sleep(0.1)", "lambda: None", "1 / 0"):
            stock = open_stock()
            rpyc.async_(stock.root.eval)(expression)
            rpyc.async_(stock.root.run)(expression)
            drop_stock(stock)

    def is_alone():
        return len([session for session in kernel.sessions() if session["connections"]]) == 1

    come_and_go()  # what the first loads and opens stays
    wait_until(is_alone, PATIENCE_S)
    kernel.execute("1")  # behind what they have left in the queue
    before = count()
    for _ in range(3):
        come_and_go()
    wait_until(lambda: all(have <= had for have, had in zip(count(), before, strict=True)), PATIENCE_S)
    assert is_alone()
    assert kernel.execute("6 * 7").value == 42


# ---- ends ----


def test_who_is_gone_is_present_no_more_though_its_request_goes_on(kernel, stock):
    stock.execute("import threading; begun, gate = threading.Event(), threading.Event()")
    mine = dict(stock.root.kernel.hello())["session"]
    rpyc.async_(stock.eval("lambda: (begun.set(), gate.wait())"))()
    kernel.eval("begun.wait")(PATIENCE_S)
    drop_stock(stock)
    try:
        wait_until(lambda: mine not in [s["id"] for s in kernel.sessions() if s["connections"]], PATIENCE_S)
    finally:
        kernel.eval("gate.set()")


def test_who_is_kicked_has_no_live_objects_any_more(kernel, open_stock):
    stock, other = open_stock(), open_stock()
    kept = stock.eval("[1]")
    kernel.kick(dict(stock.root.kernel.hello())["session"])
    with pytest.raises(EOFError):
        kept.append(2)
    assert other.root.run("1 + 1") == 2


@pytest.mark.own_kernel
def test_a_stock_client_keeps_its_objects_without_a_hub_and_loses_them_with_the_worker(kernel, open_stock):
    stock, other = open_stock(), open_stock()
    status = kernel.status()
    stock.execute("kept = [1]")
    kept = stock.namespace["kept"]
    waiting = rpyc.async_(stock.root.run)("import time; time.sleep(3600)")
    wait_until(lambda: kernel.status()["state"] == "busy", PATIENCE_S)
    kernel.close()  # or it would look for another hub
    os.kill(status["hub_pid"], signal.SIGKILL)
    with pytest.raises(EOFError, match=r"the hub that this session was with is gone.*connect again"):
        _ = waiting.value
    with pytest.raises(EOFError, match="connect again"):
        stock.root.status()
    kept.append(2)
    assert stock.eval("kept") == [1, 2]
    os.kill(status["worker_pid"], signal.SIGKILL)
    with pytest.raises(EOFError):
        other.ping()
    with pytest.raises(EOFError):
        kept.append(3)


@pytest.mark.own_kernel
def test_a_restart_ends_the_connection_and_the_next_one_finds_the_new_namespace(kernel, open_stock):
    stock = open_stock()
    stock.execute("old = 1")
    kernel.restart()
    with pytest.raises(EOFError):
        stock.eval("old")
    assert open_stock().eval("'old' in globals()") is False


def test_many_stock_clients_are_served_side_by_side(open_stock):
    connections = [open_stock() for _ in range(4)]
    results = {}

    def work(number, connection):
        results[number] = [connection.root.run(f"{number} * {x}") for x in range(5)]

    threads = [threading.Thread(target=work, args=item) for item in enumerate(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert results == {number: [number * x for x in range(5)] for number in range(4)}
