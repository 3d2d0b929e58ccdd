"""What others do to a kernel's journal stops nobody, and everybody is told."""

import json
import shutil
import sqlite3
from contextlib import closing

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import run_command
from tests.support.folders import Folders
from tests.support.waiting import wait_until


def wait_for(kernel: KernelClient, kind: str, since: int) -> str:
    """Wait until something is told of the journal; what that is."""
    return next(str(event.message) for event in kernel.events(since=since) if event.kind == kind)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_a_journal_that_another_program_holds_delays_nobody(kernel: KernelClient, folders: Folders):
    kernel.execute("print('before')", timeout=PATIENCE_S)
    last = kernel.status()["last"]
    journal = folders.state / "demo" / "journal.sqlite"
    with closing(sqlite3.connect(journal, isolation_level=None)) as backup:
        backup.execute("BEGIN IMMEDIATE")
        assert kernel.execute("print('meanwhile'); 6 * 7", timeout=PATIENCE_S).value == 42
        assert "is locked" in wait_for(kernel, Kind.JOURNAL_TROUBLE, last)
        assert "is locked" in kernel.status()["journal"]
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
            assert other.execute("print('to all')", timeout=PATIENCE_S).stdout == "to all\n"
        assert "the journal" in run_command("status", "demo").stdout
        backup.execute("ROLLBACK")
    wait_for(kernel, Kind.JOURNAL_RECOVERED, last)
    assert kernel.status()["journal"] is None
    events = list(kernel.events(since=0, follow=False))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert "".join(event.text for event in events if event.kind == Kind.STREAM) == "before\nmeanwhile\nto all\n"


def test_a_journal_that_is_removed_is_made_again_and_keeps_its_past_and_its_numbers(
    kernel: KernelClient, folders: Folders
):
    shown = "class Plot:\n    def _repr_mimebundle_(self, **_): return {'application/json': {'y': [1, float('nan')]}}"
    kernel.execute(f"{shown}\nPlot()", timeout=PATIENCE_S)
    last = kernel.status()["last"]
    shutil.rmtree(folders.state / "demo")
    assert "was removed" in wait_for(kernel, Kind.JOURNAL_TROUBLE, last)
    assert f"with {last + 1} of {last + 1} events" in wait_for(kernel, Kind.JOURNAL_RECOVERED, last)
    kernel.execute("print('after')", timeout=PATIENCE_S)
    kernel.shutdown(timeout=PATIENCE_S)
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernel")
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as again:
        lines = run_command("log", "demo", "--json").stdout.splitlines()
        told = [json.loads(line, parse_constant=refuse) for line in lines]
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
        assert len(told) > last + 3
        assert [past.code for past in again.history("print")] == ["print('after')"]
        again.shutdown(timeout=PATIENCE_S)
