"""Loops of toolkits that code runs itself, as programs with windows do: an interrupt or a closed window ends them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from rpyc_kernel import Execution, ExecutionInterrupted, KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import StartCommand
from tests.end_to_end.kernels import open_kernel
from tests.support.display import Display
from tests.support.folders import Folders

# Another thread tells that it runs, when the loop has nothing to do any more but to wait.
PREPARED = {
    "qt": """
import sys, threading
from qtpy import QtCore, QtWidgets
app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
window = QtWidgets.QLabel("hello")
window.show()
def soon(call, ms=0): QtCore.QTimer.singleShot(ms, call)
waits = threading.Event()
teller = threading.Thread(target=lambda: (waits.wait(), print("runs", flush=True)), daemon=True)
teller.start()
soon(waits.set, 50)
""",
    "tk": """
import sys, threading, tkinter
window = tkinter.Tk()
def soon(call, ms=0): window.after(ms, call)
waits = threading.Event()
teller = threading.Thread(target=lambda: (waits.wait(), print("runs", flush=True)), daemon=True)
teller.start()
soon(waits.set, 50)
""",
}
LOOP = {"qt": "app.exec()", "tk": "window.mainloop()"}
CLOSE = {"qt": "window.close", "tk": "window.destroy"}
TICKING = "def tick():\n    sum(range(100_000))\n    soon(tick, 1)\ntick()\n"
BUSY = """
def work():
    try:
        print("works")
        while True: pass
    finally:
        print("gives up")
soon(work)
"""
SHOWS_FIGURE = """
import sys, matplotlib
matplotlib.use("{backend}")
import matplotlib.pyplot as plt
figure = plt.figure()
def close():
    print("closing")
    plt.close(figure)
timer = figure.canvas.new_timer(50, [(close, (), {{}})])
timer.single_shot = True
timer.start()
print("before")
plt.show()
print("after", plt.get_fignums())
sys.exit(3)
"""


@pytest.fixture
def kernel(folders: Folders, display: Display) -> Iterator[KernelClient]:
    """A kernel that finds the display, and has no loops of IPython's."""
    with open_kernel("plain", None) as client:
        yield client


def start(kernel: KernelClient, code: str, word: str = "runs") -> Execution:
    """Begin to run a loop, and wait until it has said a word."""
    execution = kernel.submit(code)
    next(event for event in execution.events() if event.kind == Kind.STREAM and word in event.text)
    return execution


def interrupt(kernel: KernelClient, execution: Execution) -> str:
    """Interrupt it; returns what it has printed."""
    assert kernel.interrupt(execution.id, wait=PATIENCE_S).status == "stopped"
    with pytest.raises(ExecutionInterrupted):
        execution.result(timeout=PATIENCE_S)
    return "".join(event.text for event in execution.events() if event.kind == Kind.STREAM and event.name == "stdout")


def test_an_interrupt_ends_a_loop_that_waits_and_one_that_never_does(kernel: KernelClient, toolkit: str):
    """What follows the loop does not run; and windows that come later have their loop as ever."""
    for between in ("", TICKING, ""):
        running = start(kernel, f"{PREPARED[toolkit]}{between}{LOOP[toolkit]}\nprint('behind')\nsys.exit()")
        assert "behind" not in interrupt(kernel, running)
        kernel.execute(f"{CLOSE[toolkit]}()")
    closing = kernel.submit(f"{PREPARED[toolkit]}soon({CLOSE[toolkit]})\n{LOOP[toolkit]}\n'closed'")
    assert closing.result(timeout=PATIENCE_S) == "closed"


def test_an_interrupt_ends_a_callback_that_holds_the_loop_up_and_then_the_loop(kernel: KernelClient, toolkit: str):
    running = start(kernel, f"{PREPARED[toolkit]}{BUSY}{LOOP[toolkit]}\nprint('behind')", "works")
    assert {*interrupt(kernel, running).split()} - {"runs"} == {"works", "gives", "up"}


def test_an_interrupt_that_code_catches_lets_it_go_on_with_the_next_loop(kernel: KernelClient, toolkit: str):
    catching = f"try: {LOOP[toolkit]}\nexcept KeyboardInterrupt: soon(lambda: print('again'))\n{LOOP[toolkit]}"
    running = start(kernel, f"{PREPARED[toolkit]}{catching}")
    kernel.interrupt(running.id, wait=0)
    next(event for event in running.events() if event.kind == Kind.STREAM and "again" in event.text)
    interrupt(kernel, running)


def test_an_interrupt_of_a_dialog_leaves_none_to_the_next_one(kernel: KernelClient):
    """Qt refuses to begin a loop after an `exit` that the application's own has not taken."""
    running = start(kernel, f"{PREPARED['qt']}dialog = QtWidgets.QDialog()\ndialog.exec()")
    interrupt(kernel, running)
    accepting = kernel.submit("soon(dialog.accept)\ndialog.exec()")
    assert accepting.result(timeout=PATIENCE_S) == 1


def test_a_program_with_windows_is_interrupted_as_python_is(
    start_command: StartCommand, display: Display, tmp_path: Path, toolkit: str
):
    program = tmp_path / "program.py"
    program.write_text(f"{PREPARED[toolkit]}sys.exit({LOOP[toolkit]})\n")
    command = start_command("run", str(program))
    assert command.read_line() == "runs"
    command.signal(signal.SIGINT)
    status, _, said = command.wait()
    assert (status, "KeyboardInterrupt" in said) == (130, True)


def test_a_program_ends_when_its_window_is_closed(
    start_command: StartCommand, display: Display, tmp_path: Path, toolkit: str
):
    program = tmp_path / "program.py"
    closing = f"def close():\n    waits.set()\n    teller.join()\n    {CLOSE[toolkit]}()\nsoon(close, 50)\n"
    program.write_text(f"{PREPARED[toolkit]}{closing}{LOOP[toolkit]}\nprint('closed')\n")
    assert start_command("run", str(program)).wait() == (0, "runs\nclosed\n", "")


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="there is no matplotlib")
def test_a_program_shows_figures_as_python_does(
    start_command: StartCommand, display: Display, tmp_path: Path, toolkit: str
):
    """Its `plt.show` waits until the window is closed."""
    program = tmp_path / "program.py"
    program.write_text(SHOWS_FIGURE.format(backend={"qt": "qtagg", "tk": "tkagg"}[toolkit]))
    ours = start_command("run", str(program)).wait()
    pythons = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ours == (pythons.returncode, pythons.stdout, pythons.stderr) == (3, "before\nclosing\nafter []\n", "")
