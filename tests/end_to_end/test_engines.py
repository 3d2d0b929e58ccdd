"""Both engines in real kernels: rich output on its way, the debugger, files and cells of files, magics."""

import base64
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import (
    Execution,
    ExecutionError,
    ExecutionInterrupted,
    KernelClient,
    KernelDied,
    KernelError,
    RequestError,
)
from rpyc_kernel.core.contract import Kind, Outcome
from tests.end_to_end.clients import PATIENCE_S, ROOT, Connect
from tests.end_to_end.kernels import SharedKernel, open_kernel
from tests.support.folders import Folders
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel


def start(engine: str, **options: object) -> Iterator[KernelClient]:
    with rpyc_kernel.start("demo", engine=engine, timeout=PATIENCE_S, **options) as client:
        yield client
        with suppress(KernelError):
            client.shutdown(timeout=PATIENCE_S)


@pytest.fixture(params=["plain", "ipython"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ipython(folders: Folders, shared_kernel: SharedKernel | None) -> Iterator[KernelClient]:
    """A client of a kernel with the engine of IPython, which a shared one has unless it is asked for another."""
    with open_kernel("ipython", shared_kernel) as client:
        yield client


@pytest.fixture
def hidden_ipython(tmp_path: Path) -> dict[str, str]:
    """Variables of a worker that has no IPython."""
    (tmp_path / "IPython.py").write_text("raise ImportError('there is no IPython')\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def run(kernel: KernelClient, code: str) -> Execution:
    return kernel.execute(code, timeout=PATIENCE_S)


def engine_of(kernel: KernelClient) -> str:
    run(kernel, "pass")
    return next(str(event.engine) for event in kernel.events(follow=False) if event.kind == Kind.WORKER_STARTED)


def payloads(run: Execution, kind: str) -> list[dict[str, object]]:
    return [event.payload for event in run.events(timeout=PATIENCE_S) if event.kind == kind]


def answer_prompts(kernel: KernelClient, run: Execution, *answers: str) -> list[str]:
    """Answer one prompt after the other, and follow the run to its end; returns the prompts."""
    left, prompts = list(answers), []
    for event in run.events(timeout=PATIENCE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            prompts.append(event.prompt)
            kernel.answer_input(left.pop(0), run.id)
    return prompts


def wait_for_prompt(run: Execution) -> None:
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.INPUT_REQUESTED)


def assert_goes_on(kernel: KernelClient) -> None:
    again = run(kernel, "print('still here'); 6 * 7")
    assert (again.stdout, again.value) == ("still here\n", 42)


# Which engine


def test_the_engine_that_was_asked_for_runs(kernel: KernelClient, request: pytest.FixtureRequest):
    assert engine_of(kernel) == request.node.callspec.params["engine"]
    assert run(kernel, "'get_ipython' in globals()").value is (engine_of(kernel) == "ipython")


@pytest.mark.own_kernel
def test_without_a_wish_ipython_runs_where_it_is(folders: Folders):
    for kernel in start("auto"):
        assert engine_of(kernel) == "ipython"


@pytest.mark.own_kernel
def test_without_ipython_the_plain_engine_runs(folders: Folders, hidden_ipython: dict[str, str]):
    for kernel in start("auto", env=hidden_ipython):
        assert engine_of(kernel) == "plain"


@pytest.mark.own_kernel
def test_ipython_where_it_is_not_is_an_error_that_says_so(folders: Folders, hidden_ipython: dict[str, str]):
    for kernel in start("ipython", env=hidden_ipython):
        with pytest.raises(KernelDied, match="there is no IPython"):
            run(kernel, "1")


def test_an_engine_that_does_not_exist_is_refused(folders: Folders):
    with pytest.raises(RequestError, match="'auto', 'plain' or 'ipython'"):
        rpyc_kernel.start("demo", engine="java")


@pytest.mark.own_kernel
def test_the_plain_engine_does_not_import_ipython(folders: Folders):
    for kernel in start("plain"):
        assert run(kernel, "import sys; 'IPython' in sys.modules").value is False


# Rich output


def test_what_is_displayed_arrives_in_order_with_what_is_printed(kernel: KernelClient):
    code = (
        "print('before'); handle = display({'text/html': '<b>'}, raw=True, display_id='it'); clear_output(wait=True)\n"
        "handle.update('after'); print('end'); 'value'"
    )
    kinds = [event.kind for event in run(kernel, code).events(timeout=PATIENCE_S)]
    # A print is two writes, its text and the end of the line, and the hub may come between them.
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        Kind.QUEUED, Kind.STARTED, Kind.STREAM, Kind.DISPLAY, Kind.CLEAR_OUTPUT, Kind.DISPLAY, Kind.STREAM,
        Kind.RESULT, Kind.FINISHED,
    ]  # fmt: skip


def test_what_a_thread_displays_after_its_execution_belongs_to_what_runs_then(kernel: KernelClient):
    run(
        kernel,
        "import threading\ngo = threading.Event()\n"
        "thread = threading.Thread(target=lambda: (go.wait(), display('late')))\nthread.start()",
    )
    second = run(kernel, "go.set(); thread.join()")
    assert len(payloads(second, Kind.DISPLAY)) == 1


def test_a_picture_of_20_mb_arrives_whole(kernel: KernelClient):
    shown = run(kernel, "data = bytes(range(256)) * 80_000\ndisplay({'image/png': data}, raw=True)")
    (picture,) = payloads(shown, Kind.DISPLAY)
    assert base64.b64decode(picture["data"]["image/png"]) == bytes(range(256)) * 80_000


def test_a_picture_of_100_mb_is_explained_and_the_rest_of_the_bundle_arrives(kernel: KernelClient):
    shown = run(kernel, "display({'image/png': bytes(100_000_000), 'text/plain': 'a picture'}, raw=True)")
    assert [payload["data"] for payload in payloads(shown, Kind.DISPLAY)] == [{"text/plain": "a picture"}]
    assert "image/png of a MIME bundle cannot be shown: it is 133 MB long" in shown.stderr
    assert_goes_on(kernel)


@pytest.mark.parametrize("value", ["3", "b'bytes'", "['lines']", "object()"])
def test_a_representation_of_the_wrong_type_is_explained_each_time(kernel: KernelClient, value: str):
    run(kernel, f"class Wrong:\n  def __repr__(self): return 'fine'\n  def _repr_html_(self): return {value}")
    for _ in range(2):
        shown = run(kernel, "Wrong()")
        assert shown.outputs[-1].data == {"text/plain": "fine"}
        assert "text/html" in shown.stderr


def test_an_endless_representation_can_be_interrupted(kernel: KernelClient):
    endless = kernel.submit("class C:\n  def _repr_html_(self):\n    print('begun')\n    while True: pass\nC()")
    next(event for event in endless.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    assert endless.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(endless.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


@pytest.mark.own_kernel
def test_a_call_shows_its_value_like_code(kernel: KernelClient):
    run(kernel, "class Rich:\n  def __repr__(self): return 'rich'\n  def _repr_html_(self): return '<b>'")
    kernel.call(kernel.namespace["Rich"])
    shown = [event.data for event in kernel.events(follow=False) if event.kind == Kind.RESULT]
    assert shown == [{"text/plain": "rich", "text/html": "<b>"}]


# The debugger


@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_a_breakpoint_asks_for_commands_and_shows_the_users_lines(kernel: KernelClient, stop: str):
    debugged = kernel.submit(f"def f(x):\n    {stop}\n    return x + 1\nf(41)")
    prompts = answer_prompts(kernel, debugged, "p x * 2", "where", "c")
    assert prompts == ["(Pdb) "] * 3
    assert debugged.result(PATIENCE_S) == 42
    assert "\n-> f(41)\n" in debugged.stdout
    assert "\n82\n" in debugged.stdout
    for stranger in ("rpyc_kernel", "interactiveshell", "asyncio", "runpy"):
        assert stranger not in debugged.stdout


def test_stepping_beyond_the_end_ends_the_debugger(kernel: KernelClient):
    debugged = kernel.submit("breakpoint()\nx = 1\ny = 2")
    prompts = answer_prompts(kernel, debugged, *["n"] * 10)
    debugged.result(PATIENCE_S)
    assert 2 <= len(prompts) <= 8
    assert "rpyc_kernel" not in debugged.stdout
    assert run(kernel, "import sys; x, y, sys.gettrace()").value == (1, 2, None)


def test_the_debugger_at_its_prompt_can_be_interrupted(kernel: KernelClient):
    debugged = kernel.submit("breakpoint()\nprint('went on')")
    wait_for_prompt(debugged)
    assert debugged.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(debugged.exception(PATIENCE_S), ExecutionInterrupted)
    assert "went on" not in debugged.stdout
    assert kernel.status()["prompts"] == []
    assert_goes_on(kernel)


def test_code_that_a_debugger_let_go_on_can_be_interrupted_for_good(kernel: KernelClient):
    debugged = kernel.submit("breakpoint()\nprint('on')\nwhile True: pass")
    for event in debugged.events(timeout=PATIENCE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            kernel.answer_input("c", debugged.id)
        if event.kind == Kind.STREAM and "\non\n" in f"\n{debugged.stdout}":
            break
    assert debugged.interrupt(wait=PATIENCE_S).status == "stopped"
    later = kernel.submit("print('on')\nwhile True: pass")
    next(event for event in later.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    assert later.interrupt(wait=PATIENCE_S).status == "stopped"
    assert_goes_on(kernel)


def test_the_last_error_can_be_debugged_after_its_death(kernel: KernelClient):
    with pytest.raises(ExecutionError):
        run(kernel, "def f(culprit):\n    1 / 0\nf('me')")
    debugged = kernel.submit("import pdb; pdb.pm()")
    answer_prompts(kernel, debugged, "p culprit", "up", "where", "q")
    debugged.result(PATIENCE_S)
    assert "'me'" in debugged.stdout
    assert "-> f('me')" in debugged.stdout
    assert "rpyc_kernel" not in debugged.stdout


def test_a_breakpoint_in_a_file_stops_there(kernel: KernelClient, tmp_path: Path):
    file = tmp_path / "work.py"
    file.write_text("import sys\n\ndef work(n):\n    total = n * 2\n    return total\n")
    kernel.submit(file.read_text(), file=str(file)).result(PATIENCE_S)
    debugged = kernel.submit("import pdb\np = pdb.Pdb()\np.runcall(work, 21)")
    answer_prompts(kernel, debugged, f"b {file}:5", "c", "p total", "c")
    assert debugged.result(PATIENCE_S) == 42
    assert f"> {file}(5)work()" in debugged.stdout
    assert "\n42\n" in debugged.stdout


# Files


def test_a_file_runs_with_its_arguments_and_may_ask(kernel: KernelClient, tmp_path: Path):
    (tmp_path / "greet.py").write_text("import sys\nprint(sys.argv[1:], input('who? '), __name__)\n")
    running = kernel.run_file("greet.py", ["-v", "x y"], cwd=str(tmp_path), namespace="fresh")
    assert answer_prompts(kernel, running, "Ada") == ["who? "]
    assert running.result(PATIENCE_S) is None
    assert running.stdout == "['-v', 'x y'] Ada __main__\n"
    assert run(kernel, "import sys, os; sys.argv == ['']").value is True


def test_the_names_of_a_file_are_shared_or_its_own(kernel: KernelClient, tmp_path: Path):
    file = tmp_path / "names.py"
    file.write_text("made = 'by the file'\n")
    kernel.run_file(str(file), namespace="fresh").result(PATIENCE_S)
    assert run(kernel, "'made' in globals()").value is False
    kernel.run_file(str(file)).result(PATIENCE_S)
    assert run(kernel, "made").value == "by the file"


def test_a_file_that_fails_says_where(kernel: KernelClient, tmp_path: Path):
    file = tmp_path / "fails.py"
    file.write_text("def fail():\n    return 1 / 0\n\nfail()\n")
    error = kernel.run_file(str(file)).exception(PATIENCE_S)
    assert isinstance(error, ExecutionError)
    assert f'File "{file}", line 4, in <module>\n    fail()\n' in error.traceback
    assert f'File "{file}", line 2, in fail\n    return 1 / 0\n' in error.traceback
    assert "rpyc_kernel" not in error.traceback


def test_a_file_with_an_event_loop_of_its_own_runs_and_can_be_interrupted(kernel: KernelClient, tmp_path: Path):
    file = tmp_path / "loops.py"
    file.write_text(
        "import asyncio\nasync def main(s):\n    print('begun')\n    await asyncio.sleep(s)\n    print('done')\n"
        "import sys\nasyncio.run(main(float(sys.argv[1])))\n"
    )
    quick = kernel.run_file(str(file), ["0"])
    quick.result(PATIENCE_S)
    assert quick.stdout == "begun\ndone\n"
    slow = kernel.run_file(str(file), ["60"])
    next(event for event in slow.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    assert slow.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(slow.exception(PATIENCE_S), ExecutionInterrupted)
    assert run(kernel, "import asyncio; await asyncio.sleep(0, 'awaits')").value == "awaits"
    assert_goes_on(kernel)


def test_everybody_sees_which_file_was_run(kernel: KernelClient, connect: Connect, tmp_path: Path):
    (tmp_path / "a b.py").write_text("")
    ran = kernel.run_file(str(tmp_path / "a b.py"), ["--flag"])
    ran.result(PATIENCE_S)
    (queued,) = [e for e in connect().events(follow=False) if e.kind == Kind.QUEUED and e.execution == ran.id]
    assert queued.code == f"# run '{tmp_path}/a b.py' --flag"
    assert queued.source["arguments"] == ["--flag"]


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("", {}),
        ("a\0b", {}),
        ("\ud800", {}),
        ("a.py", {"args": "one string"}),
        ("a.py", {"args": [3]}),
        ("a.py", {"cwd": 3}),
        ("a.py", {"namespace": "mine"}),
    ],
    ids=str,
)
def test_what_cannot_be_run_as_a_file_is_refused(kernel: KernelClient, path: str, options: dict[str, object]):
    last = kernel.status()["last_execution"]
    with pytest.raises(RequestError):
        kernel.run_file(path, **options)
    assert kernel.status()["last_execution"] == last


def test_a_cell_of_a_file_fails_in_the_line_of_the_file(kernel: KernelClient, tmp_path: Path):
    file = str(tmp_path / "notebook.py")
    error = kernel.submit("x = 1\n1 / 0", file=file, first_line=120).exception(PATIENCE_S)
    assert isinstance(error, ExecutionError)
    assert f'File "{file}", line 121, in <module>\n    1 / 0\n' in error.traceback


def test_a_cell_of_a_file_runs_on_a_side_lane_too(kernel: KernelClient, tmp_path: Path):
    file = str(tmp_path / "notebook.py")
    error = kernel.submit("1 / 0", file=file, first_line=7, lane="side").exception(PATIENCE_S)
    assert isinstance(error, ExecutionError)
    assert f'File "{file}", line 7' in error.traceback


# IPython alone

ENDLESS_MAGICS = {
    "a command": "!echo begun; sleep 60",
    "a command whose output is kept": "print('begun')\nlines = !sleep 60",
    "a timed statement": "%time (print('begun'), __import__('time').sleep(60))",
    "a timed cell": "%%time\nprint('begun')\nwhile True: pass",
    "a statement timed often": "%timeit -n1 -r1 print('begun'); __import__('time').sleep(60)",
    "a capture": "print('begun')\nget_ipython().run_cell_magic('capture', '', 'while True: pass')",
    "code that runs code": "print('begun')\nget_ipython().run_cell('while True: pass')",
}


@pytest.mark.parametrize("code", ENDLESS_MAGICS.values(), ids=ENDLESS_MAGICS)
def test_magics_can_be_interrupted(ipython: KernelClient, code: str):
    run(ipython, "still = 'the same namespace'")
    endless = ipython.submit(code)
    next(event for event in endless.events(timeout=PATIENCE_S) if event.kind in (Kind.STREAM, Kind.INPUT_REQUESTED))
    assert endless.interrupt(wait=PATIENCE_S).status == "stopped"
    endless.exception(PATIENCE_S)
    assert endless.status == Outcome.INTERRUPTED
    assert run(ipython, "still").value == "the same namespace"
    assert_goes_on(ipython)


@pytest.mark.parametrize(
    ("code", "waits_for"), [("%%bash\necho begun\nsleep 60", Kind.STREAM), ("%debug 1 + 1", Kind.INPUT_REQUESTED)]
)
def test_magics_that_deal_with_interrupts_themselves_end_too(ipython: KernelClient, code: str, waits_for: str):
    endless = ipython.submit(code)
    next(event for event in endless.events(timeout=PATIENCE_S) if event.kind == waits_for)
    assert endless.interrupt(wait=PATIENCE_S).status == "stopped"
    assert_goes_on(ipython)


def test_a_command_has_a_terminal_and_its_output_belongs_to_the_execution(ipython: KernelClient):
    shown = run(ipython, "!echo out; echo err >&2; stty size; cat\nfiles = !echo kept\nfiles[0]")
    assert (shown.stdout, shown.stderr, shown.value) == ("out\nerr\n24 80\n", "", "kept")


def test_a_script_and_pip_run(ipython: KernelClient):
    assert run(ipython, "%%bash\necho from bash").stdout == "from bash\n"
    assert "pip" in run(ipython, "%pip --version").stdout


def test_the_last_error_can_be_debugged_by_magic(ipython: KernelClient):
    with pytest.raises(ExecutionError):
        run(ipython, "def f(culprit):\n    1 / 0\nf('me')")
    debugged = ipython.submit("%debug")
    answer_prompts(ipython, debugged, "p culprit", "q")
    debugged.result(PATIENCE_S)
    assert "'me'" in debugged.stdout


def test_help_and_proposals_are_events(ipython: KernelClient):
    (page,) = payloads(run(ipython, "len?"), Kind.PAGE)
    assert "Return the number of items" in page["data"]["text/plain"]
    (proposed,) = payloads(run(ipython, "get_ipython().set_next_input('x = 1')"), Kind.NEXT_INPUT)
    assert proposed == {"text": "x = 1", "replace": False}


@pytest.mark.own_kernel
def test_the_history_is_the_journals(ipython: KernelClient, folders: Folders):
    run(ipython, "%time x = 1")
    assert [past.code for past in ipython.history("%time")] == ["%time x = 1"]
    assert not list(folders.state.rglob("history.sqlite"))


def test_plots_are_shown_inline(ipython: KernelClient):
    pytest.importorskip("matplotlib")
    shown = run(ipython, "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    (plot,) = payloads(shown, Kind.DISPLAY)
    assert base64.b64decode(plot["data"]["image/png"]).startswith(b"\x89PNG")


@pytest.mark.own_kernel
def test_code_in_a_notebook_ends_its_process_and_the_kernel_goes_on(folders: Folders):
    for kernel in start("ipython", face="notebook"):
        run(kernel, "kept = 1; get_ipython().kernel.do_shutdown(True)")  # which raises no error
        wait_until(lambda kernel=kernel: kernel.status()["generation"] == 2, PATIENCE_S, what="the next process")
        assert run(kernel, "'kept' in vars()").value is False
