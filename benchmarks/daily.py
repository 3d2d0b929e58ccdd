"""What people do every day: each situation in our kernel and in ipykernel, by the same client, in one run.

``python -m benchmarks.daily [WORD...]`` runs those with one of the words in what is said of them, or all. What is right
is what Python itself does, or a terminal, or IPython.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

import psutil

from benchmarks.jupyter_kernels import OURS, PEER, TIMEOUT_S, Kernel, own_folders, read_reply
from benchmarks.measure import RECORD

_PATIENCE_S = 5.0


@dataclass
class Cell:
    """What came of one cell.

    Attributes:
        status: of the reply, None if none came in time.
        messages: what was published for it, as type and content, up to its idle.
    """

    status: str | None
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def text(self, name: str = "stdout") -> str:
        """What was written to a stream."""
        return "".join(
            content["text"] for kind, content in self.messages if kind == "stream" and content["name"] == name
        )

    @property
    def value(self) -> str:
        """The text of its result, or of what it raised."""
        for kind, content in self.messages:
            if kind == "execute_result":
                return str(content["data"]["text/plain"])
            if kind == "error":
                return f"{content['ename']}: {content['evalue']}"
        return "nothing"

    @property
    def kinds(self) -> list[str]:
        """The types of its messages, without those that frame every cell."""
        return [kind for kind, _ in self.messages if kind not in ("status", "execute_input")]


def send(kernel: Kernel, code: str) -> str:
    """Send a cell."""
    return str(kernel.client.execute(code, stop_on_error=False))


def collect(kernel: Kernel, request: str, timeout_s: float = TIMEOUT_S) -> Cell:
    """Wait for the end of a cell."""
    reply = read_reply(kernel.client, request, timeout_s)
    if reply is None:
        return Cell(None)
    cell = Cell(reply["content"]["status"])
    with contextlib.suppress(Empty):
        while True:
            message = kernel.client.get_iopub_msg(timeout=_PATIENCE_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            cell.messages.append((message["msg_type"], message["content"]))
            if message["content"].get("execution_state") == "idle":
                break
    return cell


def run(kernel: Kernel, code: str, timeout_s: float = TIMEOUT_S) -> Cell:
    """Run a cell to its end."""
    return collect(kernel, send(kernel, code), timeout_s)


def has_ended(pid: int) -> bool:
    """Whether a process ends within some seconds, or has."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@contextlib.contextmanager
def mark() -> Iterator[Path]:
    """The path of a file by which code can say how far it is."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder, "mark")


def wait_for_mark(path: Path) -> str:
    """What code has written into its file."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text.strip()
        time.sleep(0.01)
    raise TimeoutError("the code never came so far")


Answer = tuple[str, bool]
"""What is seen, and whether it is right."""

LOGGING = """import logging, warnings
logging.getLogger("library").warning("first")
logging.basicConfig(level=logging.INFO)
logging.info("second")
logging.getLogger("library").warning("third")
logging.captureWarnings(True)
warnings.warn("fourth")
"""


def logging_of_a_program(kernel: Kernel) -> Answer:
    """2.1 A program's log appears, as it does in Python."""
    wanted = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True).stderr
    seen = run(kernel, LOGGING).text("stderr")
    words = [word for word in ("first", "second", "third", "fourth") if word in wanted]
    shown = [word for word in words if word in seen]
    return f"{len(shown)} of the {len(words)} lines that python shows", len(words) == len(shown) == 4


def fork(kernel: Kernel) -> Answer:
    """2.2 A child that falls through the end of its cell leaves the kernel alone."""
    parent = run(kernel, "import os\nos.getpid()").value
    child = run(kernel, "pid = os.fork()\nif pid == 0: print('child')\n", _PATIENCE_S)
    after = run(kernel, "os.getpid(), pid", _PATIENCE_S)
    if after.status is None:
        return "the next cell hangs", False
    process, _, pid = after.value.strip("()").partition(", ")
    if process != parent:
        return "the next cell runs in the child", False
    is_gone = has_ended(int(pid))
    return f"child {'has ended' if is_gone else 'lives on'}, its output {child.text().strip() or 'lost'}", is_gone


def handed_in_work(kernel: Kernel) -> Answer:
    """2.3 What is handed to a thread that is there already prints under who handed it in."""
    run(kernel, "from concurrent.futures import ThreadPoolExecutor\nex = ThreadPoolExecutor(1)")
    run(kernel, "ex.submit(print, 'one').result()")
    seen = run(kernel, "ex.submit(print, 'two').result()").text().strip()
    return f"the second cell shows {seen or 'nothing'}", seen == "two"


def _interrupt_child(kernel: Kernel, code: str) -> Answer:
    with mark() as path:
        request = send(kernel, code.format(mark=str(path)))
        pid = int(wait_for_mark(path))
        kernel.manager.interrupt_kernel()
        answer = read_reply(kernel.client, request, _PATIENCE_S)
        is_gone = has_ended(pid)
    what = answer["content"].get("ename", answer["content"]["status"]) if answer else "no answer"
    return f"{what}, child {'gone' if is_gone else 'left alive'}", answer is not None and is_gone


def interrupted_shell(kernel: Kernel) -> Answer:
    """2.4 An interrupt ends what os.system runs."""
    return _interrupt_child(kernel, "import os\nos.system('echo $$ > {mark}; exec sleep 60')")


def interrupted_popen(kernel: Kernel) -> Answer:
    """2.4 An interrupt ends what Popen.wait waits for."""
    code = "import subprocess\np = subprocess.Popen('echo $$ > {mark}; sleep 60', shell=True)\np.wait()"
    return _interrupt_child(kernel, code)


def interrupted_bash(kernel: Kernel) -> Answer:
    """2.4 An interrupt ends a cell of %%bash."""
    return _interrupt_child(kernel, "%%bash\necho $$ > {mark}\nsleep 60\n")


def children_at_the_end(kernel: Kernel) -> Answer:
    """2.5 Children end with the kernel."""
    pid = int(run(kernel, "import subprocess\np = subprocess.Popen(['sleep', '600'])\np.pid").value)
    kernel.manager.shutdown_kernel()
    is_gone = has_ended(pid)
    if not is_gone:
        psutil.Process(pid).kill()
    return f"child {'gone' if is_gone else 'left alive'}", is_gone


def own_signal(kernel: Kernel) -> Answer:
    """2.6 Code that interrupts itself is interrupted."""
    seen = [
        run(kernel, f"import _thread, os, signal, time\n{how}\ntime.sleep(0.5)\n'ignored'", _PATIENCE_S).value
        for how in ("_thread.interrupt_main()", "signal.raise_signal(2)", "os.kill(os.getpid(), 2)")
    ]
    interrupted = sum(value.startswith("KeyboardInterrupt") for value in seen)
    return f"{interrupted} of 3 ways", interrupted == 3


def memory_of_values(kernel: Kernel) -> Answer:
    """2.7 Values that nobody can ask for any more are free."""
    run(kernel, "import numpy as np, os")
    pid = int(run(kernel, "os.getpid()").value)
    before = psutil.Process(pid).memory_info().rss
    for _ in range(40):
        run(kernel, "np.ones(2_500_000)")
    grown = (psutil.Process(pid).memory_info().rss - before) / 1e6
    return f"40 arrays of 20 MB: {grown:,.0f} MB more", grown < 450


def order_of_children(kernel: Kernel) -> Answer:
    """2.8 What was printed before a child started stands before the child's output."""
    code = "import os\nfor i in range(20): print('p', i); os.system(f'echo s {i}')"
    wanted = [f"{who} {i}" for i in range(20) for who in "ps"]
    wrong = 0
    for _ in range(3):
        seen = run(kernel, code).text().splitlines()
        wrong += sum(a != b for a, b in zip(seen, wanted, strict=False)) + abs(len(seen) - len(wanted))
    return f"{wrong} of 120 lines out of place", wrong == 0


def repeated_warning(kernel: Kernel) -> Answer:
    """2.9 Another cell that warns on the same line is heard."""
    seen = [run(kernel, f"import warnings; warnings.warn('cell')  # {i}").text("stderr") for i in range(2)]
    return f"{sum('cell' in text for text in seen)} of 2 warnings", all("cell" in text for text in seen)


def traceback_settings(kernel: Kernel) -> Answer:
    """2.10 %xmode, and an exception's own way to be shown, have an effect."""
    run(kernel, "%xmode Minimal")
    short = run(kernel, "def f(): 1/0\nf()")
    run(kernel, "class Own(Exception):\n    def _render_traceback_(self): return ['own words']")
    own = run(kernel, "raise Own")
    works = []
    for name, cell, fits in (
        ("xmode", short, lambda lines: len("\n".join(lines).splitlines()) <= 2),
        ("_render_traceback_", own, lambda lines: "own words" in "\n".join(lines)),
    ):
        lines = next((content["traceback"] for kind, content in cell.messages if kind == "error"), [])
        works += [name] if lines and fits(lines) else []
    return f"works: {', '.join(works) or 'nothing'}", len(works) == 2


def context(kernel: Kernel) -> Answer:
    """2.11 A context variable that is set behind a top-level await lasts."""
    run(kernel, "import asyncio, contextvars\nv = contextvars.ContextVar('v', default='lost')")
    run(kernel, "await asyncio.sleep(0)\nv.set('kept')")
    seen = run(kernel, "v.get()").value
    return seen, seen == "'kept'"


def event_loop(kernel: Kernel) -> Answer:
    """2.11 %gui asyncio is accepted."""
    cell = run(kernel, "%gui asyncio")
    return cell.status or "no answer", cell.status == "ok" and "error" not in cell.kinds


NOTEBOOK = "s = get_ipython()\n(type(s).__name__, hasattr(s, 'kernel'), 'IPKernelApp' in s.config)"


def what_libraries_see(kernel: Kernel) -> Answer:
    """2.14 Libraries see a notebook, before and after the first widget."""
    before = run(kernel, NOTEBOOK).value
    run(kernel, "import ipywidgets\nipywidgets.IntSlider()")
    after = run(kernel, NOTEBOOK).value
    return (
        f"{before}{'' if before == after else f', then {after}'}",
        before == after == "('ZMQInteractiveShell', True, True)",
    )


def shown_error(kernel: Kernel) -> Answer:
    """2.15 An error that is only shown does not fail its cell."""
    cell = run(kernel, "try: 1/0\nexcept ZeroDivisionError: get_ipython().showtraceback()\nprint('goes on')")
    is_shown = "error" in cell.kinds or "ZeroDivisionError" in cell.text("stderr") + cell.text()
    seen = f"{cell.status}, {'shown' if is_shown else 'not shown'}, then {cell.text().strip() or 'nothing'}"
    return seen, cell.status == "ok" and is_shown and "goes on" in cell.text()


def error_in_output_context(kernel: Kernel) -> Answer:
    """2.15 An error inside a widget's Output context is shown there, and the code goes on."""
    cell = run(kernel, "import ipywidgets as w\nwith w.Output(): 1/0\nprint('goes on')")
    return f"{cell.status}, then {cell.text().strip() or 'nothing'}", cell.status == "ok" and "goes on" in cell.text()


def comms_of_the_peer(kernel: Kernel) -> Answer:
    """2.16 Comms reach clients after an import of ipykernel."""
    run(kernel, "import ipykernel.kernelapp, ipykernel.comm, comm")
    cell = run(kernel, "comm.create_comm('a'); ipykernel.comm.Comm('b')")
    opened = cell.kinds.count("comm_open")
    return f"{opened} of 2 opened", opened == 2


def standard_input(kernel: Kernel) -> Answer:
    """2.18 sys.stdin can be handed to a child."""
    cell = run(kernel, "import subprocess, sys\nsubprocess.run(['true'], stdin=sys.stdin).returncode", _PATIENCE_S)
    return cell.value, cell.value == "0"


def stored_variables(kernel: Kernel) -> Answer:
    """2.19 %store keeps a variable."""
    run(kernel, "stored = 6 * 7\n%store stored\ndel stored")
    seen = run(kernel, "%store -r stored\nstored").value
    return seen, seen == "42"


def source_of_cells(kernel: Kernel) -> Answer:
    """2.19 The source of a cell's function is found."""
    run(kernel, "def f():\n    return 'found'")
    seen = run(kernel, "import inspect\ninspect.getsource(f)").value
    return "found" if "return" in seen else seen, "return" in seen


def late_thread(kernel: Kernel) -> Answer:
    """2.20 What a thread prints after its cell has ended is seen in the cell that runs."""
    run(
        kernel,
        "import threading\ngo, done = threading.Event(), threading.Event()\n"
        "def work():\n    go.wait()\n    print('late')\n    done.set()\nthreading.Thread(target=work).start()",
    )
    seen = run(kernel, "go.set(); done.wait(5)").text().strip()
    return f"the running cell shows {seen or 'nothing'}", seen == "late"


def figure_and_error(kernel: Kernel) -> Answer:
    """2.21 The figure of a cell that fails stands behind its error."""
    run(kernel, "%matplotlib inline\nimport matplotlib.pyplot as plt")
    kinds = [kind for kind in run(kernel, "plt.plot([1]); 1/0").kinds if kind in ("display_data", "error")]
    return ", then ".join(kinds), kinds == ["error", "display_data"]


def line_in_pieces(kernel: Kernel) -> Answer:
    """2.21 A line that is written in pieces is one output."""
    cell = run(kernel, "import time\nfor word in 'one two three'.split(): print(word, end=' '); time.sleep(0.01)")
    return f"{cell.kinds.count('stream')} outputs", cell.kinds.count("stream") == 1


SITUATIONS: tuple[Callable[[Kernel], Answer], ...] = (
    logging_of_a_program,
    fork,
    handed_in_work,
    interrupted_shell,
    interrupted_popen,
    interrupted_bash,
    children_at_the_end,
    own_signal,
    memory_of_values,
    order_of_children,
    repeated_warning,
    traceback_settings,
    context,
    event_loop,
    what_libraries_see,
    shown_error,
    error_in_output_context,
    comms_of_the_peer,
    standard_input,
    stored_variables,
    source_of_cells,
    late_thread,
    figure_and_error,
    line_in_pieces,
)


def judge(situation: Callable[[Kernel], Answer], kind: str) -> Answer:
    """One situation in a fresh kernel."""
    with own_folders() as folder:
        os.environ["IPYTHONDIR"] = str(folder / "ipython")
        kernel = Kernel(kind)
        try:
            return situation(kernel)
        except (AssertionError, Empty, TimeoutError, ValueError, psutil.Error) as error:
            return f"{type(error).__name__}: {error}", False
        finally:
            kernel.close()


def main(_rounds: int = 1, words: tuple[str, ...] = ()) -> list[str]:
    """Print the table; returns what our kernel does wrong."""
    print("\nevery day: rpyc_kernel (ours) beside ipykernel (peer); + is right, - is not\n")
    wrong, score = [], {OURS: 0, PEER: 0}
    chosen = [each for each in SITUATIONS if not words or any(word in (each.__doc__ or "") for word in words)]
    for situation in chosen:
        said = (situation.__doc__ or "").strip()
        print(said, flush=True)
        for kind, who in ((OURS, "ours"), (PEER, "peer")):
            seen, is_right = judge(situation, kind)
            score[kind] += is_right
            print(f"      {'+' if is_right else '-'} {who}: {seen}", flush=True)
            if kind == OURS and not is_right:
                wrong.append(said)
    figures = {"ours": float(score[OURS]), "peer": float(score[PEER])}
    RECORD.add("situations of every day done right", "", figures, more_is_better=True)
    print(f"\nright: ours {score[OURS]} of {len(chosen)}, peer {score[PEER]} of {len(chosen)}")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(words=tuple(sys.argv[1:])) else 0)
