"""What pages of the reference and docstrings say of a kernel is so, as one kernel shows them all."""

from __future__ import annotations

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.docs.docstrings import docstrings
from tests.docs.pages import REFERENCE, read_page, rows_of, sections_of
from tests.docs.sessions import run_session, sessions_of

_MUCH = (
    "import sys; _ = sys.stdout.buffer.write(b'\\xff'); _ = display(1, display_id='it', clear=True); 6 * 7",
    "get_ipython().set_next_input('x'); get_ipython().run_line_magic('pinfo', 'len')",
    "import sys; sys.exit(3)",
)
"""Inputs that make kinds and fields of events that few do."""


def test_the_examples_of_the_reference_run_as_shown(demo: None, patience: None) -> None:
    pages = {page.name: sessions_of(page.read_text()) for page in sorted(REFERENCE.glob("*.md"))}
    wrong = [run_session(session, name, {})[1] for name, session in pages.items() if session]
    assert wrong
    assert not any(wrong), "".join(wrong)


def test_everything_public_has_an_example() -> None:
    told = dict(docstrings())
    assert {"start", "KernelClient.submit", "KernelClient.complete", "Execution.stdout", "BadName"} <= told.keys()
    assert [name for name, text in told.items() if ">>> " not in text] == []


def test_the_examples_of_docstrings_run_as_shown(demo: None, patience: None) -> None:
    wrong = []
    for name, text in docstrings():
        if "dask_client" in text:
            continue  # see test_fleets.py, which has one
        with rpyc_kernel.connect("demo") as client:
            wrong.append(run_session(text, name, {"rpyc_kernel": rpyc_kernel, "kernel": client})[1])
    assert not any(wrong), "".join(wrong)


def test_every_field_that_is_recorded_is_in_the_section_of_its_kind(kernel: KernelClient) -> None:
    ends = [kernel.submit(code).exception(timeout=60) for code in _MUCH]
    assert [end is None for end in ends] == [True, True, False]
    asking = kernel.submit("input()")
    next(event for event in asking.events() if event.kind == "input_requested")
    asking.interrupt(wait=60)
    fields = {kind: rows_of(text).keys() for kind, text in sections_of(read_page("events.md")).items()}
    recorded = {(event.kind, name) for event in kernel.events(follow=False) for name in event.payload}
    assert {kind for kind, _ in recorded} >= {"page", "next_input", "display", "clear_output", "input_answered"}
    assert {("stream", "raw"), ("error", "exit_code"), ("hub_started", "release")} <= recorded
    assert [(kind, name) for kind, name in sorted(recorded) if name not in fields[kind]] == []


def test_every_field_of_a_status_is_on_its_page_and_no_other(kernel: KernelClient) -> None:
    asking = kernel.submit("input()")
    next(event for event in asking.events() if event.kind == "input_requested")
    waiting = kernel.submit("pass")
    status = kernel.status()
    waiting.cancel()
    asking.interrupt(wait=60)
    named = {heading: list(rows_of(text)) for heading, text in sections_of(read_page("status.md")).items()}
    assert sorted(named["Fields"]) == sorted(status)
    executions = {tuple(status["running"]), *(tuple(item) for item in status["queue"])}
    assert executions == {tuple(named["Executions"])}
    assert {tuple(item) for item in status["prompts"]} == {tuple(named["Prompts"])}
    assert {tuple(item) for item in status["sessions"]} == {tuple(named["Sessions"])}
    channels = {tuple(channel) for session in status["sessions"] for channel in session["channels"]}
    assert channels == {tuple(named["Channels"])}
