"""Code of other kernels that the console can call back."""

import pytest

import rpyc_kernel
from rpyc_kernel.client import archive
from rpyc_kernel.client.archive import recall_stopped
from tests.end_to_end.commands import run_command
from tests.end_to_end.consoles import open_console
from tests.end_to_end.terminals import CTRL_C, PATIENCE_S, OpenTerminal
from tests.support.folders import Folders

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every journal read, however slowly."""
    monkeypatch.setattr(archive, "_PATIENCE_S", PATIENCE_S)


def leave_kernel(name: str, *codes: str) -> None:
    """Run code in a kernel, and stop it."""
    with rpyc_kernel.start(name, timeout=PATIENCE_S) as kernel:
        for code in codes:
            kernel.execute(code, timeout=PATIENCE_S)
        kernel.call(kernel.objects.builtins.len, "no code")
        kernel.shutdown(timeout=PATIENCE_S)


def test_code_of_a_stopped_kernel_can_be_called_back(folders: Folders, open_terminal: OpenTerminal):
    leave_kernel("earlier", "'from a stopped kernel'")
    bob = open_console(open_terminal, "bob")
    bob.type("\x12stopped")
    bob.wait_for("'from a stopped kernel'")
    bob.type(CTRL_C)
    bob.wait_for_prompt()


def test_the_newest_code_of_each_stopped_kernel_is_read_and_nothing_is_written(folders: Folders):
    leave_kernel("one", "x = 1", "x = 2", "x = 3")
    leave_kernel("two", "y = 1")
    before = {path: path.stat().st_mtime_ns for path in sorted(folders.state.rglob("*"))}
    found = recall_stopped({"three"}, limit=2)
    assert {past.code for past in found} == {"x = 2", "x = 3", "y = 1"}
    assert [past.code for past in recall_stopped({"two"}, limit=2)] == ["x = 2", "x = 3"]
    assert {path: path.stat().st_mtime_ns for path in sorted(folders.state.rglob("*"))} == before


def test_what_is_no_journal_is_left_out(folders: Folders):
    leave_kernel("good", "x = 1")
    for name, content in (("bad", b"no database" * 1000), ("empty", b"")):
        (folders.state / name).mkdir()
        (folders.state / name / "journal.sqlite").write_bytes(content)
    (folders.state / "file").write_bytes(b"")
    assert [past.code for past in recall_stopped((), limit=5)] == ["x = 1"]


def test_a_kernel_that_was_stopped_starts_again_after_its_journal_was_read(folders: Folders):
    leave_kernel("demo", "x = 1")
    assert recall_stopped((), limit=5)
    assert run_command("start", "demo").returncode == 0
    assert run_command("exec", "demo", "6 * 7").stdout == "42\n"
