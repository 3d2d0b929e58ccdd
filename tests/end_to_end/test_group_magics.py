"""Magics for many kernels: in a kernel of ours, which is one of them, and in IPython by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import Execution, ExecutionError, KernelClient
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.terminals import ROOT
from tests.support.folders import Folders, temporary_folders
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def kernels() -> Iterator[Folders]:
    """Two small kernels, and one with IPython's shell, in which the tests type."""
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        rpyc_kernel.group("m-{1..2}", start=True, engine="plain", timeout=PATIENCE_S).close()
        rpyc_kernel.start("here", engine="ipython", timeout=PATIENCE_S).close()
        yield folders


@pytest.fixture
def here(kernels: Folders, monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelClient]:
    """A client of the kernel in which the user types, which uses both of the others."""
    for name, value in kernels.environment.items():
        monkeypatch.setenv(name, value)
    with rpyc_kernel.connect("here", timeout=PATIENCE_S) as client:
        client.execute("%group m-{1..2}", timeout=PATIENCE_S)
        yield client


def run(client: KernelClient, code: str) -> Execution:
    """Run code, whatever comes of it."""
    execution = client.submit(code)
    execution.exception(PATIENCE_S)
    return execution


def test_a_cell_runs_in_all_kernels_and_each_line_says_whose_it_is(here: KernelClient) -> None:
    shown = run(here, "%%group m-{1..2}\nprint('said')\n6 * 7").stdout
    assert sorted(shown.splitlines()) == ["[m-1] 42", "[m-1] said", "[m-2] 42", "[m-2] said"]
    assert sorted(run(here, "%px 'again'").stdout.splitlines()) == ["[m-1] 'again'", "[m-2] 'again'"]
    assert sorted(run(here, "%px -- --6").stdout.splitlines()) == ["[m-1] 6", "[m-2] 6"]
    assert run(here, "%group").stdout == "2 kernels: m-{1..2}\n"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("-t 0", "[m-1] 42\n"),
        ("--targets 1:", "[m-2] 42\n"),
        ("--targets m-2", "[m-2] 42\n"),
        ("--fold --local", "--- m-{1..2} (2)\n42\n"),
    ],
)
def test_options_choose_kernels_and_how_it_is_shown(here: KernelClient, options: str, shown: str) -> None:
    assert run(here, f"%%px {options}\n6 * 7").stdout == shown


def test_what_is_handed_in_without_waiting_is_shown_when_asked_for(here: KernelClient) -> None:
    begun = run(here, "%%px --noblock -o job\nprint('later')\n5")
    assert begun.stdout == ""
    assert here.execute("type(job).__name__, job.result(60)").value == ("GroupExecution", [5, 5])
    for _ in range(2):
        assert sorted(run(here, "%pxresult").stdout.splitlines()) == [
            f"[m-{number}] {said}" for number in (1, 2) for said in ("5", "later")
        ]


def test_who_fails_and_why_is_told_and_fails_the_cell(here: KernelClient) -> None:
    here.execute("import rpyc_kernel\nwith rpyc_kernel.group('m-{1..2}') as g: g.scatter('bad', [1, 0])")
    failed = run(here, "%px 1 / bad[0]")
    assert failed.stdout == "[m-1] 1.0\n"
    assert "[m-2] ZeroDivisionError: division by zero\n" in failed.stderr
    assert isinstance(failed.exception(), ExecutionError)
    assert str(failed.exception()).endswith(
        "GroupFailed: 1 of 2 did not end well: m-2 (ZeroDivisionError: division by zero)"
    )


def test_how_far_each_is_stands_in_a_display_that_is_updated(here: KernelClient) -> None:
    displays = [
        event
        for event in run(here, "%%px --progress-after 0\nprint('at work'); import time; time.sleep(0.5)").events()
        if event.kind == "display"
    ]
    assert [event.is_update for event in displays[:2]] == [False, True]
    assert len({event.display_id for event in displays}) == 1
    head, *lines = displays[-1].data["text/plain"].splitlines()
    assert head.startswith("2 of 2 have ended, ")
    assert [line.split()[:2] for line in lines] == [["m-1", "ok"], ["m-2", "ok"]]
    assert "<td style='text-align:left'><code>at work</code></td>" in displays[-1].data["text/html"]
    assert not [event for event in run(here, "%px 1").events() if event.kind == "display"]


def test_an_interrupt_is_passed_on_to_all(here: KernelClient) -> None:
    waiting = here.submit("%px print('begun'); import time; time.sleep(600)")
    wait_until(lambda: waiting.stdout.count("begun") == 2, PATIENCE_S, "both to have begun")
    assert waiting.interrupt(wait=PATIENCE_S)
    assert waiting.stderr.startswith("interrupting it; once more leaves it running\n")
    assert str(waiting.exception()).endswith("2 of 2 did not end well: m-{1..2} (KeyboardInterrupt)")


def test_the_kernel_in_which_one_types_is_left_out_as_it_would_wait_for_itself(here: KernelClient) -> None:
    assert run(here, "%group *").stdout == "without this kernel, which would wait for itself\n2 kernels: m-{1..2}\n"
    assert "would wait for itself" in str(run(here, "%group here").exception())
    assert "in which kernels?" in str(run(here, "%px 1").exception())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("%group nobody", "'nobody' is not running"),
        ("%%group x-*\n1", "these run: here, m-1, m-2"),
        ("%%px --nope\n1", "unrecognized arguments: --nope; the options of %%px are --targets, --block, --noblock, "),
        ("%group --fold", "unrecognized arguments: --fold; the options of %group are --start, --skip-missing"),
        ("%px --nope 1", "those of %%px, above a cell, are --targets, --block, --noblock, "),
        ("%px --nope 1", "--progress-after; if it is code: '%px -- --nope 1'"),
        ("%px", "which code?"),
        ("%%px -t 2\n1", "the group has 2"),
        ("%%px -t 5:\n1", "there is no such kernel among the 2 of the group"),
        ("%%px 'open\n1", "cannot be read: No closing quotation"),
        ("%pxresult 1", "takes nothing"),
    ],
)
def test_wrong_words_are_explained_without_a_traceback_of_ours(here: KernelClient, code: str, said: str) -> None:
    failed = run(here, code)
    assert str(failed.exception()).startswith("IPython.core.error.UsageError: ")
    assert said in str(failed.exception())


def test_the_magics_are_completed_before_their_first_use_and_explained(here: KernelClient) -> None:
    assert [item.text for item in here.complete("%%group m").items] == ["m-1", "m-2"]
    assert "--noblock" in [item.text for item in here.complete("%%px --n").items]
    assert "%px" in [item.text for item in here.complete("%p").items]
    assert "group that was used last" in here.inspect("%px").doc


def test_ipython_by_itself_has_them_as_an_extension(here: KernelClient, tmp_path: Path) -> None:
    typed = "%load_ext rpyc_kernel\n%group m-*\n%px 6 * 7\n%load_ext rpyc_kernel\n%px 1 / 0\n"
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit"],
        input=typed,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path), "NO_COLOR": "1"},
    )
    assert "[m-1] 42\n" in done.stdout
    assert "GroupFailed: 2 of 2 did not end well: m-{1..2} (ZeroDivisionError: division by zero)" in done.stdout
