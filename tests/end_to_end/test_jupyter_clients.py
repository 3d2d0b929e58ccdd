"""Programs that people use with Jupyter, on our kernel: nbclient, papermill, the console."""

import os
import signal
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pexpect
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

import rpyc_kernel
from tests.end_to_end.clients import ROOT
from tests.end_to_end.notebooks import PATIENCE_S, SPEC, Open, install_spec, with_own_ports

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


_PATIENTLY: dict[str, Any] = {"timeout": int(PATIENCE_S), "iopub_timeout": int(PATIENCE_S)}


@pytest.fixture
def spec(open_notebook: Open) -> str:
    """The name of our kernelspec, which Jupyter finds."""
    return SPEC


def _execute(spec: str, *sources: str) -> nbformat.NotebookNode:
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, kernel_name=spec, **_PATIENTLY)
    executed: nbformat.NotebookNode = client.execute()
    return executed


def test_nbclient_executes_a_notebook(spec: str) -> None:
    executed = _execute(spec, "x = 6", "print('so', x)\nx * 7", "%time\n!echo from a child")
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3]
    stream, result = executed.cells[1].outputs
    assert (stream.text, result.data["text/plain"]) == ("so 6\n", "42")
    assert "from a child" in "".join(output.text for output in executed.cells[2].outputs)


def test_nbclient_is_told_of_errors(spec: str) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        _execute(spec, "1 / 0")


def test_nbclient_is_told_when_the_kernel_dies(spec: str) -> None:
    with pytest.raises(CellExecutionError, match="SIGKILL"):
        _execute(spec, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_a_figure_is_in_the_notebook(spec: str) -> None:
    pytest.importorskip("matplotlib")
    executed = _execute(spec, "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);")
    assert "image/png" in executed.cells[0].outputs[0].data


def test_papermill_passes_parameters(spec: str, tmp_path: Path) -> None:
    cells = [new_code_cell("x = 1", metadata={"tags": ["parameters"]}), new_code_cell("print(x)")]
    metadata = {"kernelspec": {"name": spec, "language": "python", "display_name": spec}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), tmp_path / "in.ipynb")
    done = papermill.execute_notebook(
        tmp_path / "in.ipynb", tmp_path / "out.ipynb", parameters={"x": 5}, progress_bar=False, **_PATIENTLY
    )
    assert done.cells[-1].outputs[0].text == "5\n"


def _open_console(*options: str) -> "pexpect.spawn[str]":
    program, *words = with_own_ports("jupyter_console", "--simple-prompt", *options)
    console = pexpect.spawn(
        program,
        words,
        cwd=str(ROOT),
        encoding="utf-8",
        timeout=PATIENCE_S,
        env={**os.environ, "TERM": "dumb"},
    )
    console.setecho(False)
    return console


def _close(console: "pexpect.spawn[str]") -> None:
    """End a console; pexpect itself waits for no more than a moment."""
    if console.isalive():
        console.kill(signal.SIGKILL)
        console.wait()
    console.close()


def test_a_console_runs_code_and_asks_for_input(spec: str) -> None:
    console = _open_console(f"--kernel={spec}")
    try:
        console.expect(r"In \[1\]:")
        console.sendline("6 * 7")
        console.expect(r"Out\[1\]:.*42")
        console.expect(r"In \[2\]:")
        console.sendline("name = input('who? ')")
        console.expect("who\\?")
        console.sendline("Ann")
        console.expect(r"In \[3\]:")
        console.sendline("1 / 0")
        console.expect("ZeroDivisionError")
        console.expect(r"In \[4\]:")
        console.sendline("name.upper()")
        console.expect("ANN")
        console.expect(r"In \[5\]:")
        console.sendeof()
        console.expect("really want to exit")
        console.sendline("y")
        console.expect(pexpect.EOF)
    finally:
        _close(console)


def test_two_consoles_share_a_running_kernel(spec: str, tmp_path: Path) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        install_spec(tmp_path / "data", "joined", attach="shared")
        first, second = _open_console("--kernel=joined"), _open_console("--kernel=joined")
        try:
            first.expect(r"In \[\d+\]:")
            first.sendline("shared_name = 'seen'; print('do' + 'ne')")
            first.expect("done")
            first.sendline("exit")
            first.expect(pexpect.EOF)
            second.expect(r"In \[\d+\]:")
            second.sendline("shared_name")
            second.expect("seen")
        finally:
            _close(first)
            _close(second)
        kernel.shutdown(timeout=PATIENCE_S)
