"""What the kernel keeps apart of the standard library works on, whatever is made of the modules that everybody has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rpyc_kernel.system import originals

BREAK = """
import concurrent.futures, json, logging, os, queue, select, socket, sys, threading, time
from rpyc_kernel.system import originals
originals.set_apart()
from rpyc_kernel.system.threads import KernelThread, make_thread

def refuse(*_, **__):
    raise AssertionError("patched")

import _thread
_thread.start_new_thread = refuse
for module in (concurrent.futures, json, json.encoder, json.decoder, logging, queue, select, socket, threading, time):
    for name, value in list(vars(module).items()):
        if callable(value) and name not in ("__loader__", "_shutdown", "shutdown", "_after_fork"):
            setattr(module, name, refuse)
json.JSONEncoder = json.JSONDecoder = refuse
if hasattr(threading, "_trace_hook"):
    threading._trace_hook = threading._profile_hook = refuse
"""
USE = """
sides = originals.socket.socketpair()
told, gate = originals.queue.SimpleQueue(), originals.threading.Event()
answer = originals.futures.Future()

def serve():
    gate.wait()
    told.put(originals.json.loads(originals.json.dumps([1, {"a": None}])))
    with originals.threading.Condition():
        sides[1].send(b"x")
    answer.set_result(threading._active[originals.threading.get_ident()].name)

thread = make_thread(serve, "own")
thread.start()
gate.set()
thread.join()
originals.time.sleep(0)
originals.logging.getLogger("kernel").error("logged")
assert originals.select.select([sides[0]], [], [], 60)[0] == [sides[0]]
print(told.get(), sides[0].recv(1), answer.result(60), thread.ident in threading._active, flush=True)
os._exit(0)  # the interpreter's own end uses what is patched
"""


def test_the_kernels_modules_work_where_everybodys_are_patched():
    done = subprocess.run([sys.executable, "-c", BREAK + USE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "[1, {'a': None}] b'x' own False\n"), done.stderr
    assert "logged" in done.stderr


def test_setting_apart_leaves_everybodys_modules_where_they_are():
    code = """if True:
        import sys
        from rpyc_kernel.system import originals
        names = ("threading", "socket", "logging", "json", "json.decoder", "queue", "concurrent.futures")
        before = {name: __import__(name, fromlist=["_"]) for name in names}
        originals.set_apart()
        assert all(sys.modules[name] is module for name, module in before.items())
        assert originals.threading is not before["threading"]
        assert originals.logging.root is not before["logging"].root
        assert before["socket"].socket(*[]).family is before["socket"].AF_INET
        print("so")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "so\n", done.stderr


@pytest.mark.parametrize("name", [name for name in originals.__all__ if name not in ("set_apart", "futures")])
def test_where_nothing_is_set_apart_the_modules_are_everybodys(name):
    assert getattr(originals, name) is sys.modules[name]


def test_what_runs_in_the_worker_takes_these_from_anywhere_else_only_to_share_them_with_user_code():
    names = "threading|queue|socket|logging|json|select|time"
    foreign = re.compile(rf"^\s*(?:import (?:{names})\b(?! as shared\b)|from (?:{names}) import)", re.MULTILINE)
    package = Path(originals.__file__).parents[1]
    # The second gives a logger of the user's to IPython; the others run by themselves where there is nothing of ours.
    alone = ("system/bundle_cache.py", "system/attach_script.py")
    exceptions = {package / part for part in ("system/originals.py", "worker/engines/profile.py", *alone)}
    sources = {path for folder in ("worker", "wire", "system") for path in (package / folder).rglob("*.py")}
    assert len(sources) > 50
    assert [path for path in sources - exceptions if foreign.search(path.read_text("utf-8"))] == []


def test_a_call_made_in_a_worker_that_was_cancelled_may_be_answered():
    code = """if True:
        from rpyc_kernel.system import originals
        originals.set_apart()
        from rpyc_kernel.wire.values.client import StartedCall
        call = StartedCall(None)
        call.cancel()
        call.settle(1, None)
        print(call.cancelled())
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n", done.stderr


def test_what_a_worker_answers_later_rests_on_none_of_everybodys_locks():
    code = """if True:
        import threading
        from rpyc_kernel.system import originals
        originals.set_apart()
        from rpyc_kernel.wire.netrefs.requests import Later
        threading.Condition = threading.RLock = threading.Lock = None
        later = Later()
        later.set_result(7)
        print(later.result(0))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "7\n", done.stderr
