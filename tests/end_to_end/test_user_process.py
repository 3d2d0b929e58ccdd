"""The worker's process is the user's: its log, and what user code patches, are as `python` would have them."""

from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import temporary_folders

PATCH = """
import json, logging, queue, select, socket, threading, time

def refuse(*_, **__):
    raise RuntimeError("patched")

class Useless:
    "Can be made, as libraries do it when they are imported, and not be used."
    def __init__(self, *_, **__): pass
    def __getattr__(self, name): refuse()
    __enter__ = __exit__ = __call__ = refuse

for module, names in (
    (threading, "Thread Lock RLock Event Condition Semaphore local get_ident current_thread _start_new_thread"),
    (socket, "socket socketpair create_server recv_fds send_fds"),
    (select, "select poll epoll"),
    (queue, "SimpleQueue Queue"),
    (json, "dumps loads JSONEncoder JSONDecoder"),
    (time, "sleep"),
    (logging, "basicConfig Handler"),
):
    for name in names.split():
        if hasattr(module, name):
            setattr(module, name, Useless if name[0].isupper() or name in ("socket", "local") else refuse)
json.encoder.JSONEncoder.encode = json.decoder.JSONDecoder.decode = refuse
table = {"rows": 3}
"""
TAKE_AWAY = """
import collections, os, re, select, struct, sys

def refuse(*_, **__):
    raise RuntimeError("taken away")

collections.deque = struct.Struct = struct.pack = struct.unpack = os.getpid = refuse
for name in ("select", "poll", "epoll"):
    if hasattr(select, name):
        delattr(select, name)
sys.meta_path.clear()
sys.path_hooks.clear()
sys.excepthook = None
if "IPython" not in sys.modules:  # which compiles patterns as it goes
    re.compile = refuse
table = {"rows": 3}
"""
LOGS = """
import contextlib, io, logging, sys, warnings
for handler in list(logging.root.handlers):
    logging.root.removeHandler(handler)
logging.root.setLevel(logging.WARNING)
logging.captureWarnings(False)
"""


@pytest.fixture(scope="module", params=["plain", "ipython"])
def shared(request: pytest.FixtureRequest) -> Iterator[KernelClient]:
    """A kernel of all tests here that only look at what they do themselves."""
    if request.param == "ipython":
        pytest.importorskip("IPython")
    with pytest.MonkeyPatch.context() as patch, temporary_folders() as folders:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        with rpyc_kernel.start("process", engine=request.param, timeout=PATIENCE_S) as client:
            # What it opens when it is first needed is none of a test's own.
            assert client.eval("1") == client.submit("1").result(PATIENCE_S) == 1
            yield client
            client.shutdown(timeout=PATIENCE_S)


def read(kernel: KernelClient, code: str) -> tuple[str, str]:
    """What code writes to standard output and standard error."""
    run = kernel.submit(code)
    run.result(PATIENCE_S)
    return run.stdout, run.stderr


# The log


@pytest.mark.parametrize(
    ("code", "stderr"),
    [
        ("logging.getLogger('lib').warning('w')", "w\n"),
        ("logging.getLogger('lib').info('w')", ""),
        ("logging.warning('w')", "WARNING:root:w\n"),
        ("logging.basicConfig(level=logging.INFO); logging.info('w')", "INFO:root:w\n"),
        (
            "logging.basicConfig(); logging.captureWarnings(True); warnings.warn_explicit('w', UserWarning, 'f', 1)",
            "WARNING:py.warnings:f:1: UserWarning: w\n\n",
        ),
        ("logging.root.setLevel(1); [name for name in logging.root.manager.loggerDict if name.startswith('rpyc')]", ""),
    ],
)
def test_logging_does_what_it_does_in_python(shared: KernelClient, code: str, stderr: str):
    assert read(shared, LOGS + code) == ("", stderr)


def test_a_log_goes_where_standard_error_goes_at_that_moment(shared: KernelClient):
    code = LOGS + "with contextlib.redirect_stderr(io.StringIO()) as kept: logging.getLogger('lib').warning('w')\n"
    assert read(shared, code + "print(repr(kept.getvalue()))") == ("'w\\n'\n", "")


def test_a_log_goes_into_a_file(shared: KernelClient, tmp_path):
    path = tmp_path / "file.log"
    assert read(shared, f"{LOGS}logging.basicConfig(filename={str(path)!r}, force=True)\nlogging.error('e')") == (
        "",
        "",
    )
    assert path.read_text() == "ERROR:root:e\n"


def test_the_kernel_says_nothing_in_the_users_log(shared: KernelClient):
    read(shared, LOGS + "logging.basicConfig(stream=(noise := io.StringIO()), level=1, force=True)")
    shared.complete("loggi")
    shared.inspect("logging.root")
    shared.eval("logging.root.name")
    shared.submit("logging", lane="side").exception(PATIENCE_S)
    assert read(shared, "print(noise.getvalue(), end='')") == ("", "")


# What user code patches


def assert_its_objects_are_served(kernel: KernelClient) -> None:
    """``table`` is there, for live objects, a side lane and a copy."""
    assert kernel.eval("len(table)") == 1
    assert kernel.namespace["table"]["rows"] == 3
    assert kernel.submit("len(table)", lane="side").result(PATIENCE_S) == 1
    assert kernel.pull("table") == {"rows": 3}


@pytest.mark.parametrize("engine", ["plain", "ipython"])
def test_a_kernel_goes_on_when_user_code_has_patched_the_standard_library(folders, engine):
    if engine == "ipython":
        pytest.importorskip("IPython")
    with rpyc_kernel.start("patched", engine=engine, timeout=PATIENCE_S) as kernel:
        kernel.submit(PATCH).result(PATIENCE_S)
        assert read(kernel, "print('on')") == ("on\n", "")
        assert_its_objects_are_served(kernel)
        assert [item.text for item in kernel.complete("table.item").items] == ["items"]
        assert kernel.inspect("table").found
        assert [variable.name for variable in kernel.variables() if variable.name == "table"] == ["table"]
        with rpyc_kernel.connect("patched", timeout=PATIENCE_S) as other:
            assert other.eval("table['rows']") == 3
        spinning = kernel.submit("print('spins', flush=True)\nwhile True: pass")
        next(event for event in spinning.events(timeout=PATIENCE_S) if event.kind == "stream")
        assert spinning.interrupt(wait=PATIENCE_S).status == "stopped"
        asking = kernel.submit("input('who? ')")
        next(event for event in asking.events(timeout=PATIENCE_S) if event.kind == "input_requested")
        kernel.answer_input("me")
        assert asking.result(PATIENCE_S) == "me"
        kernel.shutdown(timeout=PATIENCE_S)


@pytest.mark.parametrize("where", ["sys.settrace", "sys.setprofile", "threading.settrace", "threading.setprofile"])
def test_a_tracer_that_raises_costs_what_it_traces_and_nothing_else(shared: KernelClient, where: str):
    define = "import sys, threading\ndef refuse(*_): raise RuntimeError('traced')\ndef f(): return 7\n"
    traced = shared.submit(f"{define}{where}(refuse)\nf()")
    traced.exception(PATIENCE_S)
    assert traced.status == ("error" if where.startswith("sys") else "ok")
    with rpyc_kernel.connect("process", timeout=PATIENCE_S) as other:
        assert other.eval("f()") == 7
    assert "f" in [variable.name for variable in shared.variables()]
    assert shared.submit(f"{where}(None); f()").result(PATIENCE_S) == 7


@pytest.mark.parametrize("engine", ["plain", "ipython"])
def test_live_objects_work_though_user_code_has_first_taken_away_what_importing_them_needs(folders, engine):
    if engine == "ipython":
        pytest.importorskip("IPython")
    with rpyc_kernel.start("bare", engine=engine, timeout=PATIENCE_S) as kernel:
        kernel.submit(TAKE_AWAY).result(PATIENCE_S)
        assert_its_objects_are_served(kernel)
        kernel.push(more=[1, 2])
        assert kernel.pull("more") == [1, 2]
        assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42
