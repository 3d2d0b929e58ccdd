"""A notebook server on our kernel: its REST interface and its WebSockets, also for one who comes back in mid-cell."""

import json
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocket, create_connection

import rpyc_kernel
from tests.end_to_end.clients import ROOT
from tests.end_to_end.notebooks import PATIENCE_S, Open, with_own_ports
from tests.support.ports import find_port
from tests.support.waiting import wait_until

_TOKEN = "secret"


class Server:
    """A notebook server.

    Args:
        folder: where its notebooks are.
        options: further command-line options.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = find_port()
        command = [*with_own_ports("jupyter_server"), "--no-browser", "--allow-root", "--port", str(self.port)]
        settings = [
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={_TOKEN}",
            f"--ServerApp.root_dir={folder}",
            *options,
        ]
        with (folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, cwd=ROOT)
        try:
            wait_until(self._answers, PATIENCE_S, "the server")
        except BaseException:
            self._end()
            raise

    def _answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/api/status"))
        except OSError:
            return False

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the REST interface."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {_TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read() or b"null")

    def open_channels(self, kernel: str) -> "Channels":
        """Connect to a kernel as a browser does."""
        session = uuid.uuid4().hex
        url = f"ws://127.0.0.1:{self.port}/api/kernels/{kernel}/channels?session_id={session}&token={_TOKEN}"
        return Channels(create_connection(url, timeout=PATIENCE_S), session)

    def close(self) -> None:
        """End it, and the kernels it started."""
        try:
            for kernel in self.ask("GET", "/api/kernels"):
                self.ask("DELETE", f"/api/kernels/{kernel['id']}")
        finally:
            self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)


class Channels:
    """A browser's connection to a kernel."""

    def __init__(self, socket: WebSocket, session: str) -> None:
        self._socket = socket
        self._session = session

    def execute(self, code: str) -> str:
        """Send code; returns the id of the message."""
        request = uuid.uuid4().hex
        header = {"msg_id": request, "session": self._session, "username": "browser", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {"header": {**header, "msg_type": "execute_request"}, "parent_header": {}, "metadata": {}}
        self._socket.send(json.dumps({**message, "content": content, "channel": "shell", "buffers": []}))
        return request

    def read_until(self, kind: str, parent: str) -> list[dict[str, Any]]:
        """Messages with this parent, up to the first of this kind."""
        taken: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE_S
        while not taken or taken[-1]["msg_type"] != kind:
            assert time.monotonic() < deadline
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") == parent:
                taken.append(message)
        return taken

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run code and return all its messages; those of different channels come in any order."""
        return self.read_to_end(self.execute(code))

    def read_to_end(self, parent: str) -> list[dict[str, Any]]:
        """Messages with this parent, up to the last."""
        taken: list[dict[str, Any]] = []
        deadline = time.monotonic() + PATIENCE_S
        while not {"execute_reply", "idle"} <= {_stage(message) for message in taken}:
            assert time.monotonic() < deadline
            message = json.loads(self._socket.recv())
            if message["parent_header"].get("msg_id") == parent:
                taken.append(message)
        return taken

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def _stage(message: dict[str, Any]) -> str:
    return str(message["content"].get("execution_state", message["msg_type"]))


def _reply(messages: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = next(m["content"] for m in messages if m["msg_type"] == "execute_reply")
    return found


@pytest.fixture
def server(provisioner: None, open_notebook: Open, tmp_path: Path) -> Iterator[Server]:
    """A notebook server that offers running kernels, too."""
    folder = tmp_path / "root"
    folder.mkdir()
    started = Server(
        folder,
        "--ServerApp.kernel_spec_manager_class=rpyc_kernel.faces.jupyter.live_kernels.LiveKernelSpecManager",
    )
    yield started
    started.close()


def _text(messages: list[dict[str, Any]]) -> str:
    return "".join(message["content"]["text"] for message in messages if message["msg_type"] == "stream")


def test_a_server_starts_interrupts_restarts_and_stops_a_kernel(server: Server) -> None:
    kernel = server.ask("POST", "/api/kernels", {"name": "rpyc_kernel"})["id"]
    channels = server.open_channels(kernel)
    try:
        assert _text(channels.run("x = 1; print('hello')")) == "hello\n"
        looping = channels.execute("print('on')\nwhile True: pass")
        channels.read_until("stream", looping)
        server.ask("POST", f"/api/kernels/{kernel}/interrupt")
        assert _reply(channels.read_to_end(looping))["ename"] == "KeyboardInterrupt"
        server.ask("POST", f"/api/kernels/{kernel}/restart")
    finally:
        channels.close()
    again = server.open_channels(kernel)
    try:
        assert _reply(again.run("x"))["ename"] == "NameError"
    finally:
        again.close()
    server.ask("DELETE", f"/api/kernels/{kernel}")
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernel")


def test_one_who_comes_back_in_mid_cell_sees_what_was_shown_meanwhile(server: Server, tmp_path: Path) -> None:
    kernel = server.ask("POST", "/api/kernels", {"name": "rpyc_kernel"})["id"]
    leaving = server.open_channels(kernel)
    gate = tmp_path / "gate"
    code = (
        "print('before')\nimport os, time\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "print('meanwhile')\nwhile True: time.sleep(0.01)"
    )
    request = leaving.execute(code)
    leaving.read_until("stream", request)
    leaving.close()
    gate.touch()
    coming = server.open_channels(kernel)
    try:
        seen = ""
        while "meanwhile" not in seen:
            seen += _text(coming.read_until("stream", request))
        assert seen == "before\nmeanwhile\n"
    finally:
        coming.close()


def test_a_server_offers_running_kernels_and_leaves_them_running(server: Server) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("x = 'from before'")
        specs = server.ask("GET", "/api/kernelspecs")["kernelspecs"]
        assert specs["rpyc_kernel-demo-live"]["spec"]["display_name"] == "Join demo"
        started = server.ask("POST", "/api/kernels", {"name": "rpyc_kernel-demo-live"})["id"]
        channels = server.open_channels(started)
        try:
            assert _text(channels.run("print(x)")) == "from before\n"
        finally:
            channels.close()
        server.ask("DELETE", f"/api/kernels/{started}")
        assert kernel.execute("x").value == "from before"
        kernel.shutdown(timeout=PATIENCE_S)
