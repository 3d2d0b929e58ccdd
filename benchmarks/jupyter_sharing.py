"""What happens to people who share a kernel: ten situations, each on our kernel and on ipykernel, in one run.

``python -m benchmarks.jupyter_sharing [NUMBER...]`` runs those that are named, or all.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

import psutil

import rpyc_kernel
from benchmarks.jupyter_kernels import (
    OURS,
    PEER,
    TIMEOUT_S,
    Kernel,
    own_folders,
    read_control,
    read_published,
    read_reply,
    send_control,
)

_DISPLAYS = 20_000
_PATIENCE_S = 5.0
_LOOP = "print('on', flush=True)\nwhile True: pass"


def slow_subscriber(kernel: Kernel) -> str:
    """A slow subscriber loses output."""
    slow = kernel.connect()
    code = f"for i in range({_DISPLAYS}): display({{'text/plain': str(i)}}, raw=True)"
    request = slow.execute(f"from IPython.display import display\n{code}")
    read_reply(slow, request)  # it has all been published, and nothing was read
    seen, is_idle = 0, False
    while not is_idle and slow.iopub_channel.socket.poll(int(_PATIENCE_S * 1000)):
        message = slow.get_iopub_msg(timeout=_PATIENCE_S)
        is_own = message["parent_header"].get("msg_id") == request
        seen += is_own and message["msg_type"] == "display_data"
        is_idle = is_own and message["content"].get("execution_state") == "idle"
    return f"{seen:,} of {_DISPLAYS:,} displays, idle {'seen' if is_idle else 'never seen'}"


def late_joiner(kernel: Kernel) -> str:
    """Who joins while a cell runs sees nothing of what it has printed."""
    running = kernel.client.execute("print('early', flush=True)\nimport time; time.sleep(1.5); print('late')")
    read_published(kernel.client, "stream", running)
    late = kernel.connect()
    seen = []
    while message := read_published(late, "stream", running, 2.5):
        seen.append(message["content"]["text"].strip())
    return f"sees {', '.join(' '.join(seen).split()) or 'nothing'}"


def error_of_another(kernel: Kernel) -> str:
    """One client's error aborts what another has queued."""
    other = kernel.connect()
    failing = kernel.client.execute("print('on', flush=True); import time; time.sleep(0.5); 1/0")
    read_published(kernel.client, "stream", failing)
    queued = other.execute("1")
    answer = read_reply(other, queued, _PATIENCE_S)
    return f"the other's code: {answer['content']['status'] if answer else 'no answer'}"


def vanished_in_input(kernel: Kernel) -> str:
    """A client that vanishes inside input() blocks everyone."""
    vanishing = kernel.connect()
    vanishing.execute("input()", allow_stdin=True)
    vanishing.get_stdin_msg(timeout=TIMEOUT_S)
    queued = kernel.client.execute("1", allow_stdin=True)
    kernel.leave(vanishing)
    if kernel.client.stdin_channel.socket.poll(int(_PATIENCE_S * 1000)):
        kernel.client.get_stdin_msg(timeout=1)
        kernel.client.input("for you")
    answer = read_reply(kernel.client, queued, _PATIENCE_S)
    return "the next client is asked, and its code runs" if answer else f"everybody is blocked ({2 * _PATIENCE_S:g} s)"


def lock_held(kernel: Kernel) -> str:
    """While C code holds the interpreter lock, control is dead."""
    with tempfile.TemporaryDirectory() as folder:
        mark = os.path.join(folder, "mark")  # a print may itself be held up by the lock
        code = f"import ctypes, os\nsleep = ctypes.PyDLL(None).usleep\nos.mkdir({mark!r})\nsleep(2_100_000)"
        kernel.client.execute(code)
        while not os.path.exists(mark):
            time.sleep(0.01)
    time.sleep(0.2)  # by now the lock is held
    begin = time.perf_counter()
    read_control(kernel.client, send_control(kernel.client, "usage_request"))
    return f"usage_request answered after {time.perf_counter() - begin:.2f} s"


def reason_of_death(kernel: Kernel) -> str:
    """When the kernel's process dies, nobody learns why."""
    request = kernel.client.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    answer = read_reply(kernel.client, request, _PATIENCE_S)
    return f"told: {answer['content']['evalue']}" if answer else f"no answer, no reason ({_PATIENCE_S:g} s)"


def completion_while_busy(kernel: Kernel) -> str:
    """Completion waits for the running cell."""
    running = kernel.client.execute("print('on', flush=True)\nimport time; time.sleep(2)")
    read_published(kernel.client, "stream", running)
    begin = time.perf_counter()
    read_reply(kernel.client, kernel.client.complete("pri", 3))
    return f"answered after {(time.perf_counter() - begin) * 1e3:,.0f} ms"


def first_print(kernel: Kernel) -> str:
    """The first print of a running cell shows late."""
    read_reply(kernel.client, kernel.client.execute("import time"))
    begin = time.perf_counter()
    running = kernel.client.execute("print('on')\ntime.sleep(1)")
    read_published(kernel.client, "stream", running)
    return f"shows after {(time.perf_counter() - begin) * 1e3:,.0f} ms"


def ports(kernel: Kernel) -> str:
    """A kernel that is to be reached from elsewhere needs many ports."""
    bridge = psutil.Process(kernel.manager.provisioner.process.pid)
    if kernel.kind == PEER:
        return f"{_count_ports(bridge)} listening ports"
    hub = psutil.Process(rpyc_kernel.kernels()[0].hub_pid)
    own = _count_ports(hub) + sum(map(_count_ports, hub.children()))
    return f"{own} listening port; the bridge, where the notebook is, has {_count_ports(bridge)}"


def _count_ports(process: psutil.Process) -> int:
    return sum(connection.status == psutil.CONN_LISTEN for connection in process.net_connections("tcp"))


def interrupted_subshell(kernel: Kernel) -> str:
    """Interrupting what runs in a subshell does nothing."""
    client = kernel.client
    created = read_control(client, send_control(client, "create_subshell_request"))
    assert created is not None
    message = client.session.msg("execute_request", {"code": _LOOP, "silent": False})
    message["header"]["subshell_id"] = created["content"]["subshell_id"]
    client.shell_channel.send(message)
    request = message["header"]["msg_id"]
    read_published(client, "stream", request)
    kernel.manager.interrupt_kernel()
    answer = read_reply(client, request, _PATIENCE_S)
    return f"ended by {answer['content']['ename']}" if answer else f"goes on ({_PATIENCE_S:g} s)"


SITUATIONS: tuple[Callable[[Kernel], str], ...] = (
    slow_subscriber,
    late_joiner,
    error_of_another,
    vanished_in_input,
    lock_held,
    reason_of_death,
    completion_while_busy,
    first_print,
    ports,
    interrupted_subshell,
)


def run(number: int) -> tuple[str, str, str]:
    """One situation on both kernels, each fresh: what is said of it, what ours does, what the peer does."""
    situation = SITUATIONS[number - 1]
    results = []
    for kind in (OURS, PEER):
        kernel = Kernel(kind)
        try:
            results.append(situation(kernel))
        finally:
            kernel.close()
    return (situation.__doc__ or "").strip(), results[0], results[1]


def main(_rounds: int = 1, numbers: tuple[int, ...] = ()) -> list[str]:
    """Print the table, to be read: nothing in it is judged."""
    print("\nsharing a kernel: rpyc_kernel (ours) beside ipykernel (peer)\n")
    for number in numbers or range(1, len(SITUATIONS) + 1):
        with own_folders():
            claim, ours, peer = run(number)
        print(f"{number:>2}. {claim}\n      ours: {ours}\n      peer: {peer}", flush=True)
    return []


if __name__ == "__main__":
    main(numbers=tuple(map(int, sys.argv[1:])))
