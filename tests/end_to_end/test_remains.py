"""What is left of a dead kernel stands in nobody's way, and a living one cannot be started twice."""

import os
import signal
import subprocess
import sys

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionFailed, KernelClient, KernelExists, NoSuchKernel
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture
from tests.support.processes import list_processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("goes_on")


def kill_both(kernel: KernelClient) -> None:
    status = kernel.status()
    for pid in (status["hub_pid"], status["worker_pid"]):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: is_gone(pid), DEADLINE_S, f"the end of process {pid}")


def is_gone(pid: int) -> bool:
    return all(process.is_zombie for process in list_processes() if process.pid == pid)


def test_what_is_left_of_a_dead_kernel_is_no_kernel_and_can_be_started_again(kernel, folders):
    kernel.execute("x = 'before'; print('recorded')", timeout=DEADLINE_S)
    kill_both(kernel)
    assert (folders.runtime / "demo" / "kernel.json").exists()
    # The last thread of a process that was killed closes its files, which may be after the first is gone.
    wait_until(lambda: rpyc_kernel.kernels() == [], DEADLINE_S)
    with pytest.raises(NoSuchKernel, match=r"kernel 'demo' is not running \(last seen .*\); start it with"):
        rpyc_kernel.connect("demo")
    with pytest.raises(ConnectionFailed, match="cannot connect"):
        rpyc_kernel.connect(folders.runtime / "demo" / "kernel.json")
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        assert again.execute("'x' in globals()", timeout=DEADLINE_S).value is False
        assert [info.name for info in rpyc_kernel.kernels()] == ["demo"]
        assert again.status()["generation"] == 2
        printed = [event.text for event in again.events(since=0, follow=False) if event.kind == Kind.STREAM]
        assert "recorded\n" in "".join(printed)


def test_a_second_kernel_of_the_same_name_is_refused_and_how_to_go_on_is_said(kernel):
    hub = kernel.status()["hub_pid"]
    with pytest.raises(
        KernelExists,
        match=r"kernel .demo. is running already \(hub process \d+, home .*\); connect to it, as with "
        "'rpyc-kernel console demo', or stop it first with 'rpyc-kernel stop demo'",
    ):
        rpyc_kernel.start("demo")
    assert kernel.status()["hub_pid"] == hub


@pytest.mark.parametrize(
    ("name", "message"), [("demo", "kernel 'demo' is running already"), ("a/b", "'a/b' cannot name a kernel")]
)
def test_a_hub_that_cannot_begin_says_why_and_ends_with_status_2(kernel, name, message):
    done = subprocess.run(
        [sys.executable, "-m", "rpyc_kernel.hub", name], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
