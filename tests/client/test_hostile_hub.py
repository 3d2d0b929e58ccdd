"""Whatever a hub answers, a client raises errors of ours, or nothing."""

import contextlib
import importlib
import socket
import sys
import threading

import pytest

from rpyc_kernel.client.address import Address
from rpyc_kernel.client.doors import UnixDoor
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.keys import Key
from rpyc_kernel.wire.values.server import serve_values
from tests.wire.peers import of_owner

KEY = Key(b"k" * 32)
DEADLINE_S = 30.0
DEEP = "[" * 100_000
HELLO = (("last", 0), ("kernel", "k"), ("came_first", True), ("cursor", None), ("hub_pid", 1))


class Failure(Exception):
    pass


def fail(error):
    raise error


ANSWERS = {
    "nothing": lambda: None,
    "a number": lambda: 5,
    "a text": lambda: "no JSON",
    "bytes": lambda: b"\xff",
    "pairs": lambda: (("state", 5), (5, 5)),
    "deep JSON": lambda: DEEP,
    "events of no sense": lambda: (1, "[[1]]"),
    "events with no fields": lambda: (1, '[[1, 0.0, "finished", 1, null, {}]]'),
    "events of wrong kinds": lambda: (1, '[["1", "0", 5, "1", 5, []]]'),
    "an error without its parts": lambda: (2, '[[1, 0, "error", 1, null, {"ename": 1}]]'),
    "deep events": lambda: (1, DEEP),
    "a wrong cursor": lambda: ("1", "[]"),
    "a result of no literal": lambda: (
        2,
        '[[1, 0.0, "result", 1, null, {"data": {}, "metadata": {}, "literal": "open(1)"}],'
        ' [2, 0.0, "finished", 1, null, {"outcome": "ok", "reason": "", "duration_s": 0.1}]]',
    ),
    "TypeError": lambda: fail(TypeError("yours")),
    "RecursionError": lambda: fail(RecursionError("yours")),
    "an unknown error": lambda: fail(Failure("yours")),
    "the end": lambda: fail(SystemExit()),
}

CALLS = {
    "status": lambda client: client.status(),
    "sessions": lambda client: client.sessions(),
    "history": lambda client: client.history(),
    "execute": lambda client: client.execute("1", timeout=DEADLINE_S).value,
    "submit": lambda client: client.submit("1").result(timeout=DEADLINE_S),
    "execute alone": lambda client: client.enqueue("1"),
    "execution": lambda client: client.execution(1).result(timeout=DEADLINE_S),
    "events": lambda client: next(client.events(since=0)),
    "events of one": lambda client: next(client.events(since=0, execution=1)),
    "interrupt": lambda client: client.interrupt(wait=0),
    "cancel": lambda client: client.cancel(1),
    "restart": lambda client: client.restart(timeout=0.2),
    "stack": lambda client: client.stack(),
    "queue": lambda client: client.queue(),
    "last_stack": lambda client: client.last_stack,
    "answer_input": lambda client: client.answer_input("1"),
    "complete": lambda client: client.complete("x"),
    "signatures": lambda client: client.signatures("x("),
    "inspect": lambda client: client.inspect("x"),
    "definition": lambda client: client.definition("x"),
    "references": lambda client: client.references("x"),
    "is_complete": lambda client: client.is_complete("x"),
    "variables": lambda client: client.variables(),
    "children": lambda client: client.children("x"),
    "slice": lambda client: client.slice("x"),
    "python": lambda client: client.python(),
    "packages": lambda client: client.packages(),
    "environment": lambda client: client.environment(),
    "module_path": lambda client: client.module_path(),
    "cwd": lambda client: client.cwd(),
    "connect": lambda client: KernelClient(client._address, timeout=DEADLINE_S).close(),
}


class HostileService:
    """Answers everything but the greeting with the same."""

    def __init__(self, answer):
        self.answer = answer
        self.greets_well = True


def _offer(name):
    def exposed(self, *_):
        if name == "hello" and self.greets_well:
            return HELLO
        return self.answer()

    setattr(HostileService, f"exposed_{name}", exposed)


for _name in {name.replace(" ", "_") for name in CALLS} | {"run", "follow", "find", "read", "hello", "cells"}:
    _offer(_name)


@contextlib.contextmanager
def hostile_hub(path, answer):
    """A client of a hub that answers so."""
    service = HostileService(answer)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    threads = []

    def serve(sock):
        with contextlib.suppress(KernelError, OSError):
            handshake.greet_client(sock, of_owner(KEY), "session", DEADLINE_S)
            serve_values(sock, service, name="hostile")
        sock.close()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(sock,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        with KernelClient(Address("kernel 'k'", KEY, UnixDoor(path)), timeout=DEADLINE_S) as client:
            yield client, service
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(DEADLINE_S)


@pytest.mark.parametrize("answer", ANSWERS)
def test_only_errors_of_ours_come_of_what_a_hub_answers(answer, tmp_path):
    with hostile_hub(str(tmp_path / "s"), ANSWERS[answer]) as (client, service):
        for name, call in CALLS.items():
            told = None
            service.greets_well = name != "connect"
            try:
                call(client)
            except BaseException as error:  # noqa: BLE001 - what the test is about
                told = error
            assert told is None or isinstance(told, (KernelError, TimeoutError, StopIteration)), name


@pytest.mark.parametrize("name", ["../../.ssh", "", "a\x1b[2J", 5])
def test_a_hub_whose_name_could_name_no_kernel_is_left(name, tmp_path, monkeypatch):
    """A client keeps in a folder of this name what it cannot draw."""
    monkeypatch.setattr(f"{__name__}.HELLO", (*HELLO, ("kernel", name)))
    with (
        pytest.raises(KernelError, match="answered with what cannot be read"),
        hostile_hub(str(tmp_path / "s"), lambda: None),
    ):
        pass


@pytest.mark.parametrize("is_loaded", [False, True])
def test_no_class_that_a_hub_names_is_imported_or_made(is_loaded, tmp_path, monkeypatch):
    """It could name any module of the client's, and classes that do something when they are made."""
    name = "what_a_hub_names"
    (tmp_path / f"{name}.py").write_text(
        "made = []\nclass Odd(Exception):\n    def __new__(cls, *args):\n        made.append(args)\n"
        "        return super().__new__(cls, *args)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)  # so that it is taken out at the end
    del sys.modules[name]
    module = importlib.import_module(name)
    if not is_loaded:
        del sys.modules[name]
    odd = type("Odd", (Exception,), {"__module__": name})
    with hostile_hub(str(tmp_path / "s"), lambda: fail(odd("yours"))) as (client, _), pytest.raises(KernelError):
        client.status()
    assert (name in sys.modules) == is_loaded
    assert module.made == []
