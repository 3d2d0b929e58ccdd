"""Jupyter clients of a test: a kernelspec of its own, and kernels started by it as a notebook server would."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import LocalPortCache, write_connection_file
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_core.utils import ensure_event_loop

import rpyc_kernel
from benchmarks.jupyter_kernels import ManagedKernel
from rpyc_kernel import KernelClient
from rpyc_kernel.faces.jupyter.kernelspec import make_spec
from tests.support.folders import Folders
from tests.support.ports import find_port, set_aside

PATIENCE_S = 60.0
LocalPortCache.find_available_port = lambda cache, ip: find_port(ip)  # type: ignore[method-assign]
ensure_event_loop()  # else the first test that uses one would have to leave it behind
SPEC = "rpyc_kernel"
_PORTS_EACH = 50
Message = dict[str, Any]


def install_spec(folder: Path, name: str = SPEC, *, program: str | None = None, **options: Any) -> None:
    """Write a kernelspec as `rpyc-kernel jupyter install` does; the program, if one is given, is to run the bridge."""
    place = folder / "kernels" / name
    place.mkdir(parents=True)
    spec = make_spec(**options)
    argv = spec["argv"][1:] if program is None else ["-c", program, "-f", "{connection_file}"]
    (place / "kernel.json").write_text(json.dumps({**spec, "argv": [sys.executable, *argv]}))


class Notebook(ManagedKernel):
    """A kernel that a manager started from a kernelspec, and its first client.

    The manager kills the bridge only when it has not left by itself for long: what a bridge that is killed leaves
    undone is another matter than what it does in leaving.
    """

    def __init__(self, spec: str = SPEC, **options: Any) -> None:
        manager = KernelManager(kernel_name=spec, **{"shutdown_wait_time": PATIENCE_S, **options})
        manager.start_kernel()
        super().__init__(manager)
        self.client = self.connect()
        take_reply(self.client, self.client.kernel_info())

    @property
    def pid(self) -> int:
        """The bridge's process."""
        pid: int = self.manager.provisioner.process.pid
        return pid

    def connect(self) -> BlockingKernelClient:
        """A further client, that has been welcomed."""
        client = self.join()
        take_until(client, "iopub_welcome")
        return client


def with_own_ports(*words: str) -> list[str]:
    """The command that runs a module whose kernels get ports that nobody else of the run takes; run it in `ROOT`."""
    ports = json.dumps(set_aside(_PORTS_EACH))
    return [sys.executable, "-m", "tests.end_to_end.programs.with_own_ports", ports, *words]


def write_connection(folder: Path) -> tuple[str, dict[str, Any]]:
    """Write the file that a bridge of no manager's is told its ports in; its path, and what it says."""
    ports = {f"{channel}_port": find_port() for channel in ("shell", "iopub", "stdin", "hb", "control")}
    file, info = write_connection_file(str(folder / "kernel.json"), key=b"secret", **ports)
    return file, dict(info)


Open = Callable[..., Notebook]


@pytest.fixture
def open_notebook(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens notebooks, each on a kernel of its own unless told otherwise, and closes them with the test."""
    prepare(tmp_path, monkeypatch.setenv)
    with ExitStack() as opened:

        def open_one(**options: Any) -> Notebook:
            notebook = Notebook(**options)
            opened.callback(notebook.close)
            return notebook

        yield open_one


@pytest.fixture
def provisioner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The provisioner is known to Jupyter as after an installation."""
    place = tmp_path / "site" / "rpyc_kernel_for_a_test-1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: rpyc_kernel_for_a_test\nVersion: 1\n")
    group = "jupyter_client.kernel_provisioners"
    point = "rpyc-kernel = rpyc_kernel.faces.jupyter.provisioner:AttachingProvisioner"
    (place / "entry_points.txt").write_text(f"[{group}]\n{point}\n")
    monkeypatch.syspath_prepend(str(place.parent))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place.parent), os.environ.get("PYTHONPATH", "")]))
    KernelProvisionerFactory.clear_instance()
    yield
    KernelProvisionerFactory.clear_instance()


def prepare(folder: Path, set_variable: Callable[[str, str], None]) -> None:
    """Lead Jupyter to folders of the test's own, with our kernelspec in them."""
    install_spec(folder / "data")
    for name, value in {
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_PATH": folder / "data",  # goes before what the environment has itself
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "IPYTHONDIR": folder / "ipython",
        "JUPYTER_NO_CONFIG": "1",
    }.items():
        set_variable(name, str(value))


def take(client: BlockingKernelClient, timeout_s: float = PATIENCE_S) -> Message:
    """The next published message."""
    return client.get_iopub_msg(timeout=timeout_s)


def take_until(client: BlockingKernelClient, kind: str, parent: str | None = None, **content: Any) -> list[Message]:
    """Published messages up to the first of this kind, with this parent and content, if these are given."""
    taken: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert time.monotonic() < deadline, f"no {kind} came, but {[m['msg_type'] for m in taken]}"
        with suppress(Empty):
            message = take(client, deadline - time.monotonic())
            taken.append(message)
            if (
                message["msg_type"] == kind
                and parent in (None, message["parent_header"].get("msg_id"))
                and content.items() <= message["content"].items()
            ):
                return taken


def take_output(client: BlockingKernelClient, request: str) -> list[Message]:
    """Everything published for a request, up to its idle."""
    until_idle = take_until(client, "status", request, execution_state="idle")
    return [message for message in until_idle if message["parent_header"].get("msg_id") == request]


def take_reply(client: BlockingKernelClient, request: str, channel: str = "shell") -> Message:
    """The answer to a request; others before it are dropped."""
    get = client.get_shell_msg if channel == "shell" else client.get_control_msg
    while True:
        message: Message = get(timeout=PATIENCE_S)
        if message["parent_header"].get("msg_id") == request:
            return message


def text_of(messages: list[Message], name: str = "stdout") -> str:
    """What was printed."""
    streams = [message["content"] for message in messages if message["msg_type"] == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == name)


def ask_control(client: BlockingKernelClient, kind: str, content: dict[str, Any] | None = None) -> Message:
    """Ask on the control channel and wait for the answer."""
    message = client.session.msg(kind, content or {})
    client.control_channel.send(message)
    return take_reply(client, message["header"]["msg_id"], "control")


@contextmanager
def join_kernel() -> Iterator[KernelClient]:
    """A client of our own in the only kernel there is, whose namespace then has a closed `gate` for code to wait at."""
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, timeout=PATIENCE_S) as kernel:
        kernel.execute("import threading; gate = threading.Event()", timeout=PATIENCE_S)
        yield kernel


@contextmanager
def environment() -> Iterator[Callable[[str, str], None]]:
    """Set variables that go with the block."""
    before = dict(os.environ)
    try:
        yield os.environ.__setitem__
    finally:
        os.environ.clear()
        os.environ.update(before)
