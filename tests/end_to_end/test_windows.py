"""Windows of user code live while the kernel works for its clients, and delay nobody."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from rpyc_kernel import Execution, ExecutionError, ExecutionInterrupted, KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.kernels import open_kernel
from tests.end_to_end.terminals import OpenTerminal
from tests.support.display import Display
from tests.support.folders import Folders
from tests.support.waiting import wait_until

TIMES = int(os.environ.get("WINDOWS_TIMES", "1"))
"""How many times as much to do; 10 makes 1,000 executions."""
SHOWN = {
    "qt": """
%gui qt
from qtpy import QtCore, QtWidgets
frames = 0
def tick():
    global frames
    frames += 1
window = QtWidgets.QLabel("hello")
window.show()
timer = QtCore.QTimer()
timer.timeout.connect(tick)
timer.start(20)
""",
    "tk": """
%gui tk
import tkinter
frames = 0
def tick():
    global frames
    frames += 1
    window.after(20, tick)
window = tkinter.Tk()
tkinter.Label(window, text="hello").pack()
tick()
""",
}
CLOSING = {"qt": "window.close()", "tk": "window.destroy()"}

pytestmark = pytest.mark.skipif(importlib.util.find_spec("IPython") is None, reason="the loops are IPython's")


@pytest.fixture
def kernel(folders: Folders, display: Display) -> Iterator[KernelClient]:
    """A kernel that finds the display."""
    with open_kernel("ipython", None) as client:
        yield client


@pytest.fixture
def window(kernel: KernelClient, toolkit: str) -> KernelClient:
    """The kernel, with a window that counts its frames."""
    run(kernel, SHOWN[toolkit])
    wait_until(lambda: frames(kernel) > 2, PATIENCE_S, "the first frames")
    return kernel


def run(kernel: KernelClient, code: str) -> Execution:
    return kernel.execute(code, timeout=PATIENCE_S)


def frames(kernel: KernelClient) -> int:
    return int(kernel.namespace["frames"])


def wait_for_frames(kernel: KernelClient, what: str, count: int = 5) -> None:
    before = frames(kernel)
    wait_until(lambda: frames(kernel) >= before + count, PATIENCE_S, f"{count} frames {what}")


def submit_and_wait_until_it_asks(kernel: KernelClient, code: str) -> Execution:
    execution = kernel.submit(code)
    wait_until(lambda: kernel.status()["prompts"], PATIENCE_S, "the question")
    return execution


def test_a_window_lives_while_executions_interrupts_and_prompts_pass(window: KernelClient):
    before = frames(window)
    for number in range(100 * TIMES):
        assert run(window, f"{number}").value == number
    assert frames(window) > before
    for _ in range(10 * TIMES):
        awaiting = window.submit("import asyncio\nprint('begun')\nawait asyncio.sleep(600)")
        next(event for event in awaiting.events() if event.kind == Kind.STREAM)
        assert window.interrupt(awaiting.id, wait=PATIENCE_S).status == "stopped"
    for number in range(2 * TIMES):
        asking = submit_and_wait_until_it_asks(window, "input('who? ')")
        wait_for_frames(window, "while code asks")
        window.answer_input(f"{number}")
        assert asking.result(timeout=PATIENCE_S) == f"{number}"
    wait_for_frames(window, "at the end")


def test_a_window_lives_while_a_cell_awaits_and_the_wait_ends_in_time(window: KernelClient):
    """With its limit of time, which no descriptor tells of, and with nothing else that wakes the loop."""
    run(window, "before = frames\nimport asyncio\nwhile frames < before + 5: await asyncio.sleep(0.05)")


def test_a_window_lives_while_the_loop_never_waits(window: KernelClient):
    code = "import asyncio, time\nbefore = frames\nwhile frames < before + 5: await asyncio.sleep(0)"
    run(window, code)


def test_a_question_is_interrupted_and_the_window_lives_on(window: KernelClient):
    asking = submit_and_wait_until_it_asks(window, "input('who? ')")
    assert window.interrupt(asking.id, wait=PATIENCE_S).status == "stopped"
    with pytest.raises(ExecutionInterrupted):
        asking.result(timeout=PATIENCE_S)
    assert run(window, "1 + 1").value == 2
    wait_for_frames(window, "afterwards")


def test_an_error_in_a_callback_is_background_output_and_ends_nothing(window: KernelClient, toolkit: str):
    since = window.status()["last"]
    fail = {"qt": "QtCore.QTimer.singleShot(0, lambda: 1 / 0)", "tk": "window.after(0, lambda: 1 / 0);"}[toolkit]
    run(window, fail)

    def told() -> bool:
        return "ZeroDivisionError" in "".join(
            event.text for event in window.events(since=since, follow=False) if event.kind == Kind.STREAM
        )

    wait_until(told, PATIENCE_S, "the traceback")
    wait_for_frames(window, "after the error")


def test_a_window_that_is_closed_takes_nothing_with_it(window: KernelClient, toolkit: str):
    run(window, CLOSING[toolkit])
    assert run(window, "6 * 7").value == 42
    asking = submit_and_wait_until_it_asks(window, "input('who? ')")
    window.answer_input("me")
    assert asking.result(timeout=PATIENCE_S) == "me"


def test_a_forked_child_runs_no_windows(window: KernelClient):
    child = "try: input('who? ')\n    except EOFError: os._exit(7)"
    run(window, f"import os\npid = os.fork()\nif pid == 0:\n    {child}\nstatus = os.waitpid(pid, 0)[1]")
    assert run(window, "os.waitstatus_to_exitcode(status)").value == 7
    wait_for_frames(window, "in the parent")


def test_without_a_loop_a_window_stands_still(window: KernelClient):
    run(window, "%gui")
    run(window, "stood = frames\nimport asyncio\nawait asyncio.sleep(0.1)\nassert frames == stood")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("%gui nosuch", "there is no event loop 'nosuch'"),
        ("%gui osx", "the toolkit of macOS"),
        ("import os\nos.environ['DISPLAY'] = ':9999'\n%gui qt", "nothing answers at the display ':9999'"),
        ("import os\nos.environ['DISPLAY'] = ':9999'\n%matplotlib tk", "nothing answers at the display ':9999'"),
        ("import os\ndel os.environ['DISPLAY']\n%matplotlib qt", "there is no display"),
        ("import sys\nsys.modules['ipympl'] = None\n%matplotlib widget", "pip install ipympl"),
    ],
)
def test_what_cannot_be_shown_is_told_and_the_kernel_goes_on(kernel: KernelClient, code: str, told: str):
    try:
        said = run(kernel, code).stderr
    except ExecutionError as error:
        said = error.evalue
    assert told in said
    assert run(kernel, "6 * 7").value == 42


def test_the_display_going_away_takes_windows_and_at_most_the_worker(
    window: KernelClient,
    toolkit: str,
    display: Display,
):
    """Xlib, which Tk stands on, ends the process; Qt's windows are no more, and the worker goes on."""
    since = window.status()["last"]
    display.kill()

    def died() -> bool:
        return any(event.kind == Kind.WORKER_DIED for event in window.events(since=since, follow=False))

    if toolkit == "tk":
        wait_until(died, PATIENCE_S, "the end of the worker")
    assert run(window, "6 * 7").value == 42


@pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")
def test_cells_await_in_the_loop_that_was_asked_for_last(kernel: KernelClient):
    for loop in ("trio", "asyncio", "trio"):
        run(kernel, f"%gui {loop}\nimport {loop}")
        assert run(kernel, f"await {loop}.sleep(0)\n'{loop}'").value == loop


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="there is no matplotlib")
def test_a_figure_is_a_window_that_leaves_the_prompt_live(kernel: KernelClient, toolkit: str):
    run(kernel, f"%matplotlib {toolkit}\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3])")
    assert run(kernel, "plt.show(); len(plt.get_fignums())").value == 1
    closes = "timer = plt.gcf().canvas.new_timer(50, [(plt.close, ('all',), {})]); timer.start()"
    assert run(kernel, f"{closes}\nplt.show(block=True); 'closed'").value == "closed"


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="there is no matplotlib")
def test_a_figure_shown_at_the_console_leaves_the_prompt_live(kernel: KernelClient, open_terminal: OpenTerminal):
    terminal = open_terminal("console", "demo")
    terminal.enter("%matplotlib qt")
    terminal.enter("import matplotlib.pyplot as plt; figure = plt.figure(); plt.plot([1, 2, 3]); drawn = []")
    terminal.enter("number = figure.canvas.mpl_connect('draw_event', drawn.append); plt.show()")
    terminal.enter("figure.canvas.draw_idle()  # as soon as there is time for it")
    terminal.enter("'the prompt is there', plt.get_fignums()")
    terminal.wait_for(r"^\('the prompt is there', \[1\]\)")
    wait_until(lambda: bool(kernel.eval("len(drawn)")), PATIENCE_S, "the drawing, while the prompt waits")
    terminal.enter("plt.close('all'); plt.get_fignums()")
    terminal.wait_for(r"^\[\]")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="there is no matplotlib")
def test_a_figure_that_is_waited_for_is_let_go_by_an_interrupt(kernel: KernelClient):
    """Tk's own loop hears of one with its next event only, as in any Python."""
    run(kernel, "%matplotlib qt\nimport matplotlib.pyplot as plt")
    blocking = kernel.submit("figure = plt.figure()\nprint('shown')\nplt.show(block=True)")
    next(event for event in blocking.events() if event.kind == Kind.STREAM)
    assert kernel.interrupt(blocking.id, wait=PATIENCE_S).status == "stopped"
    assert run(kernel, "6 * 7").value == 42
