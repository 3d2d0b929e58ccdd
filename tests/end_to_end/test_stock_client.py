"""A stock RPyC client, with nothing of this package installed, can use a kernel through its unix socket."""

import subprocess
import sys

import pytest

from rpyc_kernel import KernelClient
from tests.support.folders import Folders
from tests.support.waiting import wait_until

DEADLINE_S = 60

PRELUDE = """
import sys

class Absent:
    # Where the package is installed for development, -I alone does not hide it.
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "rpyc_kernel":
            raise ModuleNotFoundError(f"no module named {name!r} here")

sys.meta_path.insert(0, Absent())

import json, os, threading, time
from rpyc.utils.factory import unix_connect

path = sys.argv[1]
connection = unix_connect(path)
kernel = connection.root

def follow(cursor=0, until=None, number=None):
    '''Read events until one of the kind has come for the execution.'''
    seen = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        cursor, text = kernel.read(cursor, 100, 5.0)
        events = json.loads(text)
        seen += events
        for seq, when, kind, execution, session, payload in events:
            if kind == until and execution == number:
                return seen
    raise AssertionError(f"no {until} came: {seen}")

"""
EPILOGUE = """
assert "rpyc_kernel" not in sys.modules, sorted(name for name in sys.modules if name.startswith("rpyc_kernel"))
connection.close()
print("all is well")
"""


@pytest.fixture
def run_stock(kernel: KernelClient, folders: Folders):
    """Runs code in a process that has rpyc and lacks this package."""

    def run(code: str) -> None:
        socket = folders.runtime / "demo" / "rpyc.sock"
        done = subprocess.run(
            [sys.executable, "-I", "-c", PRELUDE + code + EPILOGUE, str(socket)],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert done.stderr == ""
        assert (done.returncode, done.stdout) == (0, "all is well\n")

    return run


def test_a_stock_client_executes(kernel, run_stock):
    run_stock("assert kernel.execute('x = 6 * 7') == 1; follow(until='finished', number=1)")
    assert kernel.execute("x").value == 42


def test_a_stock_client_reads_events(run_stock):
    run_stock(
        """
number = kernel.execute("print('hello'); 6 * 7")
events = [
    (kind, payload)
    for seq, when, kind, execution, session, payload in follow(until="finished", number=number)
    if execution == number
]
# A print is two writes, its text and the end of the line, and the hub may come between them.
assert list(dict.fromkeys(kind for kind, _ in events)) == ["queued", "started", "stream", "result", "finished"], events
printed = [payload for kind, payload in events if kind == "stream"]
assert {payload["name"] for payload in printed} == {"stdout"}
assert "".join(payload["text"] for payload in printed) == "hello\\n"
payloads = dict(events)
assert payloads["result"]["data"] == {"text/plain": "42"}
assert payloads["finished"]["outcome"] == "ok"
"""
    )


def test_a_stock_client_sees_errors_of_the_code(run_stock):
    run_stock(
        """
number = kernel.execute("1 / 0")
events = {kind: payload for _, _, kind, execution, _, payload in follow(until="finished", number=number)}
assert events["error"]["ename"] == "ZeroDivisionError"
assert "1 / 0" in events["error"]["traceback"]
assert events["finished"]["outcome"] == "error"
"""
    )


def test_a_stock_client_waits_for_events_without_being_called_back(run_stock):
    run_stock(
        """
reader = unix_connect(path)
reader.ping()
follow(until="finished", number=kernel.execute("'the worker is there'"))
last = dict(kernel.status())["last"]
answers = []
waiting = threading.Thread(target=lambda: answers.append(reader.root.read(last, 100, 30.0)))
waiting.start()
number = kernel.execute("'wake up'")
waiting.join(60)
assert answers and json.loads(answers[0][1])[0][3] == number, answers
reader.close()
"""
    )


def test_a_stock_client_interrupts(run_stock):
    run_stock(
        """
number = kernel.execute("print('spinning')\\nwhile True: pass")
follow(until="stream", number=number)
assert kernel.interrupt() == number
events = {kind: payload for _, _, kind, execution, _, payload in follow(until="finished", number=number)}
assert events["finished"]["outcome"] == "interrupted"
assert events["error"]["ename"] == "KeyboardInterrupt"
"""
    )


def test_a_stock_client_gets_the_status_also_while_code_runs(run_stock):
    run_stock(
        """
number = kernel.execute("print('spinning')\\nwhile True: pass")
follow(until="stream", number=number)
status = dict(kernel.status())
assert status["state"] == "busy"
assert dict(status["running"])["execution"] == number
assert len(status["sessions"]) == 2
kernel.interrupt(number)
follow(until="finished", number=number)
assert dict(kernel.status())["state"] == "idle"
"""
    )


def test_a_stock_client_answers_a_prompt_and_looks_in(run_stock):
    run_stock(
        """
number = kernel.execute("name = input('who? ')")
follow(until="input_requested", number=number)
assert kernel.answer_input("Ada") == number
follow(until="finished", number=number)
assert [item["preview"] for item in json.loads(kernel.variables()) if item["name"] == "name"] == ["'Ada'"]
assert "name" in [item["text"] for item in json.loads(kernel.complete("na"))["items"]]
assert "Thread" in kernel.stack(20.0)
"""
    )


def test_a_stock_client_is_told_by_name_what_it_did_wrong(run_stock):
    run_stock(
        """
def refused(error, message, call, *arguments):
    try:
        call(*arguments)
    except Exception as caught:
        assert type(caught).__name__.endswith(error), (type(caught), error)
        assert message in str(caught), (str(caught), message)
    else:
        raise AssertionError("it was not refused")

refused("NotRunning", "nothing is running", kernel.interrupt)
refused("NoSuchExecution", "there is no execution 99", kernel.interrupt, 99)
refused("RequestError", "execution must be int, not str", kernel.interrupt, "1")
refused("RequestError", "execution must be int, not str", kernel.cancel, "1")
refused("RequestError", "execution must be int, not str", kernel.answer_input, "text", "1")
refused("RequestError", "code must be str, not bytes", kernel.execute, b"1")
refused("RequestError", "call must be str, not bytes", kernel.execute, "1", True, "main", b"x")
refused("RequestError", "call must be str, not float", kernel.execute, "1", True, "main", float("nan"))
refused("RequestError", "wait_s must be a finite number, not inf", kernel.run, "1", True, float("inf"))
refused("BadCode", "the code is 60,000,000 characters long and the limit is", kernel.complete, "\\0" * 60_000_000)
refused("RequestError", "lane", kernel.execute, "1", True, "fast")
refused("RequestError", "cursor must be int, not str", kernel.read, "0")
refused("RequestError", "limit must be int, not str", kernel.read, 0, "ten")
refused("RequestError", "wait_s must be float, not str", kernel.read, 0, 10, "soon")
refused("RequestError", "scope", kernel.read, 0, 10, 0.0, "mine")
refused("RequestError", "wait_s must be float, not str", kernel.run, "1", True, "long")
refused("RequestError", "wait_s must be float, not str", kernel.follow, 1, 0, "long")
refused("RequestError", "execution must be int, not str", kernel.follow, "1", 0)
refused("RequestError", "cursor must be int, not str", kernel.follow, 1, "0")
kernel.follow(1, 2**70, 0.0)  # a number that no event has yet: nothing comes, and at once
refused("RequestError", "limit must be int, not str", kernel.history, "", "ten")
refused("RequestError", "timeout_s must be float, not str", kernel.stack, "soon")
refused("RequestError", "cursor must be int, not str", kernel.complete, "x", "end")
number = kernel.execute("6 * 7")
events = {kind: payload for _, _, kind, execution, _, payload in follow(until="finished", number=number)}
assert events["finished"]["outcome"] == "ok"
"""
    )


def test_a_stock_client_gets_no_further_than_the_methods_offered(kernel, run_stock):
    run_stock(
        """
for name in ("_hub", "exposed__hub", "__class__", "__init__", "join"):
    try:
        getattr(kernel, name).mro
    except Exception as error:
        assert type(error).__name__ in ("AttributeError", "TypeError", "PermissionError"), type(error)
    else:
        raise AssertionError(f"{name} can be reached")
try:
    kernel.execute([])
except Exception as error:
    assert "plain values" in str(error), error
else:
    raise AssertionError("a reference was taken")
"""
    )
    assert kernel.execute("6 * 7").value == 42


def test_a_stock_client_that_leaves_is_missed_and_its_code_goes_on(kernel, run_stock):
    kernel.execute("import threading; go = threading.Event()")
    run_stock("kernel.execute('go.wait(); done = True')")
    wait_until(lambda: any(session["connections"] == 0 for session in kernel.sessions()), DEADLINE_S)
    kernel.eval("go").set()
    assert kernel.execute("done").value is True
