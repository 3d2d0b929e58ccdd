"""A bridge whose hub is killed: those who wait are answered, and it goes on with the kernel's next hub."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

import rpyc_kernel
from rpyc_kernel.client.address import resolve
from tests.end_to_end.notebooks import (
    PATIENCE_S,
    Notebook,
    Open,
    ask_control,
    install_spec,
    take,
    take_output,
    take_reply,
    take_until,
    text_of,
)
from tests.support.folders import RUNTIME_VARIABLE, Folders
from tests.support.processes import list_processes, suspended, was_started_with
from tests.support.proxy import proxying
from tests.support.waiting import wait_until

_HELD_UP = "import pathlib, time\nprint('on')\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)\nprint('after')"


def _kill_hub() -> None:
    os.kill(rpyc_kernel.kernels()[0].hub_pid, signal.SIGKILL)


def _attach(open_notebook: Open, name: str, patience_s: float = PATIENCE_S) -> Notebook:
    data = Path(os.environ["JUPYTER_DATA_DIR"])
    install_spec(data, "attached", attach=name)
    spec = data / "kernels" / "attached" / "kernel.json"
    spec.write_text(spec.read_text().replace('"--attach"', f'"--patience", "{patience_s}", "--attach"'))
    return open_notebook(spec="attached")


def _run_until_back(notebook: Notebook, code: str) -> str:
    """Run code as soon as the bridge has found the kernel; returns what it printed."""

    def run() -> str | None:
        request = notebook.client.execute(code)
        answered = take_reply(notebook.client, request)["content"]
        return text_of(take_output(notebook.client, request)) if answered["status"] == "ok" else None

    return wait_until(run, PATIENCE_S, "the kernel's return")


def test_a_kernel_of_ones_own_gets_its_next_hub_from_the_bridge(open_notebook: Open, tmp_path: Path) -> None:
    notebook = open_notebook()
    client = notebook.client
    take_reply(client, client.execute("kept = 'still here'"))
    gate = tmp_path / "gate"
    requests = [client.execute(_HELD_UP.format(str(gate))), client.execute("1")]
    take_until(client, "stream")
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, joins=False, timeout=PATIENCE_S) as looking:
        wait_until(lambda: looking.status()["queue"], PATIENCE_S, "the second request")
    _kill_hub()
    for request in requests:
        assert take_reply(client, request)["content"]["ename"] == "KernelDied"
    gate.touch()
    assert _run_until_back(notebook, "print(kept)") == "still here\n"
    assert notebook.manager.is_alive()


def test_what_ran_on_meanwhile_is_shown_where_it_was(open_notebook: Open, folders: Folders, tmp_path: Path) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S):
        notebook = _attach(open_notebook, "shared")
    gate = tmp_path / "gate"
    request = notebook.client.execute(_HELD_UP.format(str(gate)))
    take_until(notebook.client, "stream", request)
    _kill_hub()
    assert take_reply(notebook.client, request)["content"]["ename"] == "KernelDied"
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as again:
        gate.touch()
        shown = ""
        while "after" not in shown:
            message = take(notebook.client)
            if message["parent_header"].get("msg_id") == request:
                shown += text_of([message])
        assert _run_until_back(notebook, "print(2)") == "2\n"
        again.shutdown(timeout=PATIENCE_S)
    wait_until(lambda: not notebook.manager.is_alive(), PATIENCE_S, "the bridge's end")


def test_a_network_that_breaks_is_noticed_by_no_notebook(
    open_notebook: Open, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        monkeypatch.setenv("RPYC_KERNEL_KEY", resolve("shared").key.secret.hex())
        with proxying(("127.0.0.1", rpyc_kernel.kernels()[0].port)) as proxy:
            notebook = _attach(open_notebook, proxy.address)
            client, gate = notebook.client, tmp_path / "gate"
            running = client.execute(_HELD_UP.format(str(gate)))
            take_until(client, "stream")
            for fault in (proxy.cut, proxy.reset):
                fault()
                waiting = client.execute("print('and what comes behind')")
                wait_until(lambda: kernel.status()["queue"], PATIENCE_S, "the second request")
                gate.touch()
                assert take_reply(client, running)["content"]["status"] == "ok"
                assert text_of(take_output(client, waiting)) == "and what comes behind\n"
                gate.unlink()
                running = client.execute(_HELD_UP.format(str(gate)))
                take_until(client, "stream", running)
            gate.touch()
            assert take_reply(client, running)["content"]["status"] == "ok"
            assert [past.code for past in kernel.history("behind")] == ["print('and what comes behind')"] * 2


def test_while_it_looks_for_the_kernel_requests_are_answered(open_notebook: Open, folders: Folders) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        kernel.execute("kept = 1")
        notebook = _attach(open_notebook, "shared")
        client = notebook.client
        _kill_hub()
        for ask in (lambda: client.execute("1"), lambda: client.complete("a"), client.kernel_info):
            assert take_reply(client, ask())["content"]["status"] == "error"
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as again:
        assert _run_until_back(notebook, "print(kept)") == "1\n"
        again.shutdown(timeout=PATIENCE_S)


def test_a_hub_that_is_stopped_stops_neither_heartbeats_nor_answers(open_notebook: Open) -> None:
    notebook = open_notebook()
    newcomer = notebook.connect()
    hub = rpyc_kernel.kernels()[0].hub_pid
    with suspended(hub):
        request = newcomer.execute("print('at last')")  # which has to join first
        with zmq.Context() as context, context.socket(zmq.REQ) as heart:
            heart.connect(newcomer._make_url("hb"))
            heart.send(b"ping")
            assert heart.poll(PATIENCE_S * 1000)
            assert heart.recv() == b"ping"
        assert ask_control(newcomer, "interrupt_request")["content"]["ename"] == "CallTimeout"
    assert text_of(take_output(newcomer, request)) == "at last\n"


def test_when_no_hub_comes_the_bridge_ends(open_notebook: Open, folders: Folders) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S):
        notebook = _attach(open_notebook, "shared", patience_s=0.5)
    request = notebook.client.execute("import time; print('on'); time.sleep(60)")
    take_until(notebook.client, "stream")
    _kill_hub()
    assert take_reply(notebook.client, request)["content"]["ename"] == "KernelDied"
    take_until(notebook.client, "status", execution_state="dead")
    wait_until(lambda: not notebook.manager.is_alive(), PATIENCE_S, "the bridge's end")


@pytest.mark.parametrize("restart", [False, True])
def test_a_notebook_that_is_shut_down_meanwhile_leaves_no_worker(
    open_notebook: Open, folders: Folders, restart: bool
) -> None:
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute("kept = 1"))
    _kill_hub()
    if restart:
        notebook.manager.restart_kernel()
        _assert_is_new(notebook)
    else:
        notebook.manager.shutdown_kernel()
        _wait_for_nothing(folders)


class _SlowHub:
    """The next hub that starts is held up."""

    def __init__(self, folder: Path, stage: str) -> None:
        self._hold, self._held, self._gate = (folder / name for name in ("hold", "held", "gate"))
        self._opened: int | None = None
        os.mkfifo(self._gate)
        (folder / "sitecustomize.py").write_text(
            _HOLD_UP.format(stage, *map(str, (self._hold, self._held, self._gate)))
        )

    def hold_next(self) -> None:
        self._hold.touch()

    def wait_until_held(self) -> None:
        wait_until(self._held.exists, PATIENCE_S, "the next hub")

    def let_go(self) -> None:
        if self._opened is None:
            self._opened = os.open(self._gate, os.O_RDWR)  # both ends, so that it waits for nobody

    def close(self) -> None:
        self.let_go()
        assert self._opened is not None
        os.close(self._opened)


_HOLD_UP = """
import os, sys
class HoldUp:
    def find_spec(name, path, target=None):
        if name == {!r} and "rpyc_kernel.hub" in sys.orig_argv:
            try:
                os.rename({!r}, {!r})
            except FileNotFoundError:
                return
            open({!r}).close()  # the gate: as soon as somebody has opened its other end
sys.meta_path.insert(0, HoldUp)
"""


@pytest.fixture(params=["rpyc_kernel.hub", "rpyc_kernel.hub.lifetime"], ids=["before-it-locks", "after-it-locked"])
def slow_hub(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_SlowHub]:
    """Can hold up the start of a hub, before or after it has the kernel's lock."""
    folder = tmp_path / "slow"
    folder.mkdir()
    root = Path(rpyc_kernel.__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(root)]))
    hub = _SlowHub(folder, request.param)
    yield hub
    hub.close()


def _open_and_lose(open_notebook: Open, slow_hub: _SlowHub) -> Notebook:
    """A notebook whose kernel has lost its hub, while the next one, which the bridge starts, does not get on."""
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute("kept = 1"))
    slow_hub.hold_next()
    _kill_hub()
    slow_hub.wait_until_held()
    return notebook


def test_a_restart_does_not_wait_for_a_hub_and_gives_a_new_namespace(open_notebook: Open, slow_hub: _SlowHub) -> None:
    notebook = _open_and_lose(open_notebook, slow_hub)
    notebook.manager.restart_kernel()
    slow_hub.let_go()
    _assert_is_new(notebook)


def test_a_shutdown_does_not_wait_for_a_hub_and_leaves_nothing(
    open_notebook: Open, folders: Folders, slow_hub: _SlowHub
) -> None:
    notebook = _open_and_lose(open_notebook, slow_hub)
    notebook.manager.shutdown_kernel()
    slow_hub.let_go()
    _wait_for_nothing(folders)


def test_a_restart_of_a_bridge_that_ended_nothing_gives_a_new_namespace(
    open_notebook: Open, slow_hub: _SlowHub
) -> None:
    notebook = _open_and_lose(open_notebook, slow_hub)
    notebook.manager.restart_kernel(now=True)
    slow_hub.let_go()
    _assert_is_new(notebook)


def _assert_is_new(notebook: Notebook) -> None:
    client = notebook.connect()
    assert text_of(take_output(client, client.execute("print('kept' in vars())"))) == "False\n"


def _wait_for_nothing(folders: Folders) -> None:
    """Wait for the end of all processes that were started for the kernel."""

    def is_over() -> bool:
        started = [
            process.pid
            for process in list_processes()
            if was_started_with(process.pid, RUNTIME_VARIABLE, str(folders.runtime))
        ]
        return not started and not rpyc_kernel.kernels()

    wait_until(is_over, PATIENCE_S, "the end of the kernel")
