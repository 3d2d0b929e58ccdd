import re
import socket
from typing import Any

import pytest

from rpyc_kernel.core.contract import FIELDS, Event, Kind, Outcome
from rpyc_kernel.faces.frontend.render import Recording, Renderer
from rpyc_kernel.faces.frontend.transcript import Transcript
from tests.faces.frontend.events import ALICE, ME, make_event, make_item, make_status


class Shown:
    """Events as one user's terminal shows them.

    Args:
        is_colourful: as of `Renderer`.
        show_picture: as of `Renderer`.
        knows: as of `Transcript`.
    """

    def __init__(
        self, *, is_colourful: bool = False, show_picture: Any = lambda data, name: None, **knows: Any
    ) -> None:
        self._transcript = Transcript(ME, **knows)
        self._renderer = Renderer(is_colourful=is_colourful, show_picture=show_picture)
        self.whose = self._transcript.whose
        self.begin = self._transcript.begin
        self.render = Recording(self._transcript, self._renderer).render

    @property
    def is_mid_line(self) -> bool:
        return self._renderer.is_mid_line


@pytest.fixture
def shown() -> Shown:
    shown = Shown()
    shown.begin(make_status())
    return shown


def print_of(execution: int | None, text: str, session: str | None = ALICE) -> Event:
    return make_event(Kind.STREAM, execution, session, name="stdout", text=text)


def input_of(execution: int, code: str, session: str = ALICE, seq: int = 1) -> Event:
    return make_event(Kind.QUEUED, execution, session, seq, code=code, name="me" if session == ME else "alice")


def start_of(execution: int, count: int | None = None, session: str = ALICE) -> Event:
    return make_event(Kind.STARTED, execution, session, generation=1, count=execution if count is None else count)


def shown_input(shown: Shown, execution: int, code: str, session: str = ALICE, seq: int = 1) -> str:
    """What is lines of an input that is queued and begins."""
    return shown.render(input_of(execution, code, session, seq)) + shown.render(start_of(execution, session=session))


def begun_call(execution: int) -> Event:
    return make_event(Kind.STARTED, execution, ALICE, generation=1)


def end_of(execution: int, outcome: str, session: str = ALICE, **fields: object) -> Event:
    return make_event(Kind.FINISHED, execution, session, outcome=outcome, **fields)


def result_of(execution: int, text: str, session: str = ALICE) -> Event:
    return make_event(Kind.RESULT, execution, session, data={"text/plain": text})


# ---------------------------------------------------------------------- whose it is


def test_others_input_and_output_say_who_did_it(shown: Shown):
    lines = [shown_input(shown, 4, "6 * 7")]
    lines += [shown.render(event) for event in (print_of(4, "hello\n"), result_of(4, "42"))]
    assert lines == ["[alice] In [4]: 6 * 7\n", "[alice] hello\n", "[alice] Out [4]: 42\n"]


def test_an_event_that_lacks_something_takes_no_other_away(shown: Shown):
    lacking = Event(7, 0.0, Kind.WORKER_STARTED, None, None, {"pid": 3})
    assert "event 7 cannot be shown: a 'worker_started' event has no field" in shown.render(lacking)
    assert shown_input(shown, 4, "6 * 7") == "[alice] In [4]: 6 * 7\n"


def moved_slider(execution: int) -> Event:
    return make_event(
        Kind.QUEUED, execution, ALICE, code="# comm_msg of a widget", name="alice", call='comm:{"action": "msg"}'
    )


def test_messages_of_widgets_are_not_shown_but_what_they_print_is(shown: Shown):
    lines = [
        shown.render(event) for event in (moved_slider(4), print_of(4, "moved\n"), end_of(4, "aborted", reason="why"))
    ]
    assert lines == ["", "[alice] moved\n", ""]


def test_messages_of_widgets_are_shown_to_who_asks_for_them():
    shown = Shown(shows_messages=True)
    shown.begin(make_status())
    shown.render(moved_slider(4))
    assert shown.render(begun_call(4)) == "[alice] # comm_msg of a widget\n"


def test_calls_that_a_script_makes_are_shown(shown: Shown):
    call = make_event(Kind.QUEUED, 4, ALICE, code="# call of f", name="alice", call="6f2a")
    assert shown.render(call) + shown.render(begun_call(4)) == "[alice] # call of f\n"


def test_what_a_client_runs_in_silence_is_not_shown(shown: Shown):
    silent = make_event(Kind.QUEUED, 4, ALICE, code="look()", name="alice", is_input=False)
    assert shown.render(silent) + shown.render(begun_call(4)) == ""


def test_an_input_is_shown_when_it_begins_by_its_count_and_so_is_its_value(shown: Shown):
    assert shown.render(input_of(9, "6 * 7")) == ""
    assert shown.render(start_of(9, 4)) == "[alice] In [4]: 6 * 7\n"
    assert shown.render(result_of(9, "42")) == "[alice] Out [4]: 42\n"


def test_an_input_that_never_begins_is_told_of_at_its_end(shown: Shown):
    shown.render(input_of(9, "6 * 7"))
    aborted = shown.render(end_of(9, "aborted", reason="execution 8 of the same session failed"))
    assert aborted == "execution 9 (6 * 7) is aborted: execution 8 of the same session failed\n"


def test_what_runs_already_has_its_count():
    shown = Shown()
    shown.begin(make_status(running={**make_item(9, ALICE), "count": 4}))
    assert shown.render(result_of(9, "42")) == "[alice] Out [4]: 42\n"


def test_what_the_user_waits_for_is_bare(shown: Shown):
    shown.whose.adopt(4)
    shown.whose.foreground = 4
    events = (input_of(4, "6 * 7", ME), print_of(4, "hello\n", ME), result_of(4, "42", ME), end_of(4, "ok", ME))
    assert [shown.render(event) for event in events] == ["", "hello\n", "42\n", ""]


def test_the_users_own_job_is_marked_by_its_number_and_its_end_is_one_line(shown: Shown):
    shown.whose.adopt(4)
    events = (print_of(4, "hello\n", ME), result_of(4, "42", ME), end_of(4, "ok", ME, duration_s=2.04))
    lines = [shown.render(event) for event in events]
    assert lines == ["[4] hello\n", "[4] Out: 42\n", "[4] finished: ok after 2.0 s\n"]


def test_output_of_nobody_is_marked_as_background(shown: Shown):
    assert shown.render(print_of(None, "late\n", None)) == "[background] late\n"


def test_late_output_keeps_its_author(shown: Shown):
    shown.render(input_of(4, "start_thread()"))
    shown.render(end_of(4, "ok"))
    assert shown.render(print_of(4, "late\n", None)) == "[alice] late\n"


def test_late_output_of_ones_own_keeps_its_number(shown: Shown):
    shown.whose.adopt(4)
    shown.render(input_of(4, "start_thread()", ME))
    shown.render(end_of(4, "ok", ME))
    assert shown.render(print_of(4, "late\n", None)) == "[4] late\n"


def test_work_of_another_terminal_of_the_same_session_is_told_apart(shown: Shown):
    shown.whose.past = 10
    assert shown_input(shown, 4, "1", ME, seq=11) == "[me elsewhere] In [4]: 1\n"
    assert shown.render(print_of(4, "x\n", ME)) == "[me elsewhere] x\n"
    assert shown.render(end_of(4, "ok", ME)) == ""


def test_ones_own_past_is_not_elsewhere(shown: Shown):
    shown.whose.past = 10
    assert shown_input(shown, 4, "1", ME, seq=9) == "[me] In [4]: 1\n"


def test_what_ran_before_the_console_opened_has_an_author_too():
    shown = Shown()
    shown.begin(make_status(running=make_item(3, ALICE), queue=[make_item(5)]))
    assert shown.render(print_of(3, "x\n")) == "[alice] x\n"
    assert shown.render(print_of(5, "x\n", ME)) == "[5] x\n"


def test_every_line_of_code_and_output_is_marked(shown: Shown):
    assert shown_input(shown, 4, "for i in x:\n    print(i)") == (
        "[alice] In [4]: for i in x:\n[alice]    ...:     print(i)\n"
    )
    assert shown.render(print_of(4, "a\nb\n")) == "[alice] a\n[alice] b\n"
    assert shown.render(result_of(4, "one\ntwo")) == "[alice] Out [4]:\n[alice] one\n[alice] two\n"


# ---------------------------------------------------------------------- lines that are not finished


def test_a_line_printed_in_pieces_is_marked_once(shown: Shown):
    lines = "".join(shown.render(print_of(4, piece)) for piece in ("a", "b", "c\nd", "e\n"))
    assert lines == "[alice] abc\n[alice] de\n"


def test_an_unfinished_line_is_ended_before_somebody_elses_output(shown: Shown):
    shown.whose.foreground = 5
    events = (print_of(4, "half"), print_of(5, "own", ME), print_of(4, " rest\n"))
    assert [shown.render(event) for event in events] == ["[alice] half", "\nown", "\n[alice]  rest\n"]


def test_an_unfinished_line_is_ended_before_anything_else_is_told(shown: Shown):
    shown.render(print_of(4, "half"))
    assert shown.render(result_of(4, "42")) == "\n[alice] Out: 42\n"
    assert not shown.is_mid_line


def test_of_a_line_that_is_overwritten_the_last_stays_and_keeps_its_mark(shown: Shown):
    assert shown.render(print_of(4, "10%\r20%")) == "[alice] 20%"
    assert shown.render(print_of(4, "\r30%")) == "\r[alice] 30%"
    assert shown.render(print_of(4, "\r40%\n")) == "\r[alice] 40%\n"


def test_a_line_that_returns_at_its_end_is_overwritten_by_the_next(shown: Shown):
    assert shown.render(print_of(4, "10%\r")) == "[alice] 10%"
    assert shown.render(print_of(4, "20%\r")) == "\r[alice] 20%"


# ---------------------------------------------------------------------- what else happens


def test_an_error_shows_its_traceback(shown: Shown):
    error = make_event(Kind.ERROR, 4, ALICE, ename="ValueError", traceback="Traceback:\nValueError: x\n")
    assert shown.render(error) == "[alice] Traceback:\n[alice] ValueError: x\n"


def test_a_question_says_how_to_answer_it(shown: Shown):
    question = make_event(Kind.INPUT_REQUESTED, 4, ALICE, prompt="Name: ", password=False, token=1)
    assert shown.render(question) == "[alice] waits for input: Name: (%answer 4 answers for them)\n"
    shown.whose.adopt(4)
    assert shown.render(question) == "[4] waits for input: Name: (%answer 4)\n"
    shown.whose.foreground = 4
    assert shown.render(question) == ""


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.CANCELLED, Outcome.ABORTED])
def test_an_execution_that_did_not_end_by_itself_is_named_with_its_code(shown: Shown, outcome: str):
    shown.render(input_of(4, "work()\nmore()"))
    assert shown.render(end_of(4, outcome, reason="why")) == f"execution 4 (work()) is {outcome}: why\n"


def test_death_and_a_new_generation_are_told(shown: Shown):
    died = make_event(
        Kind.WORKER_DIED, None, None, generation=1, reason="killed by SIGKILL", stack="", peak_memory_bytes=30_000_000
    )
    started = make_event(Kind.WORKER_STARTED, None, None, generation=2, adopted=False)
    assert shown.render(died) == ("the worker of generation 1 ended: killed by SIGKILL, having held up to 30 MB\n")
    assert shown.render(started) == "generation 2: a new, empty namespace\n"
    embedded = make_event(Kind.WORKER_STARTED, None, None, generation=3, adopted=False, program="python shop.py\x1b[2J")
    assert shown.render(embedded) == "the kernel is embedded in python shop.py\n"


def test_the_last_stack_of_a_dead_worker_is_shown(shown: Shown):
    died = make_event(Kind.WORKER_DIED, None, None, generation=1, reason="killed by SIGSEGV", stack="File x, line 1")
    assert shown.render(died) == "the worker of generation 1 ended: killed by SIGSEGV\nFile x, line 1\n"


def test_coming_and_going_is_told_of_those_whom_it_concerns():
    shown = Shown(shows_visit=lambda session: session == ALICE)
    assert shown.render(make_event(Kind.CLIENT_JOINED, None, ALICE, name="alice")) == "[alice joined]\n"
    assert shown.render(make_event(Kind.CLIENT_LEFT, None, ALICE, name="alice")) == "[alice left]\n"
    lost, kicked = (make_event(Kind.CLIENT_LEFT, None, ALICE, name="alice", why=why) for why in ("lost", "kicked"))
    assert shown.render(lost) == "[alice has lost the connection]\n"
    assert shown.render(kicked) == "[alice was sent away]\n"
    here, by_ssh = (
        make_event(Kind.CLIENT_JOINED, None, ALICE, name="alice", host=host, address="")
        for host in (socket.gethostname(), "laptop")
    )
    assert shown.render(here) == "[alice joined]\n"
    assert shown.render(by_ssh) == "[alice joined from laptop]\n"
    far = {"name": "alice", "role": "viewer", "address": "192.0.2.7"}
    joined = [make_event(Kind.CLIENT_JOINED, None, ALICE, **far, host=host) for host in ("laptop\x1b", "")]
    assert [shown.render(each) for each in joined] == [
        "[alice joined from laptop (192.0.2.7) to look on]\n",
        "[alice joined from 192.0.2.7 to look on]\n",
    ]
    assert shown.render(make_event(Kind.CLIENT_JOINED, None, "script", name="script")) == ""
    assert shown.render(make_event(Kind.CLIENT_JOINED, None, ME, name="me")) == ""


def test_who_is_invited_sent_away_and_refused_is_told(shown: Shown):
    given = make_event(Kind.INVITATION_GIVEN, None, ALICE, name="ann", role="viewer", by="alice")
    revoked = make_event(Kind.INVITATION_REVOKED, None, ALICE, name="ann", by="alice")
    kicked = make_event(Kind.CLIENT_KICKED, None, ALICE, name="ann", by="alice")
    once = make_event(Kind.CLIENT_REFUSED, None, None, reason="no key", address="", count=1)
    often = make_event(Kind.CLIENT_REFUSED, None, None, reason="no\x07 key", address="192.0.2.1", count=7)
    assert [shown.render(each) for each in (given, revoked, kicked, once, often)] == [
        "[alice invited ann as viewer]\n",
        "[alice revoked the invitation of ann]\n",
        "[alice kicked ann]\n",
        "refused: no key\n",
        "refused from 192.0.2.1: no key (7 times)\n",
    ]
    assert shown.render(make_event(Kind.CLIENT_REFUSED, None, ME, reason="no", address="", count=1)) == ""


def test_ones_own_interrupt_is_not_told_and_others_are(shown: Shown):
    assert shown.render(make_event(Kind.INTERRUPT_REQUESTED, 4, by="me")) == ""
    assert shown.render(make_event(Kind.INTERRUPT_REQUESTED, 4, by="alice")) == "[alice interrupts execution 4]\n"


def test_names_cannot_speak_to_the_terminal(shown: Shown):
    event = make_event(Kind.QUEUED, 9, "eve", code="\x1b[2J1", name="e\x1b]0;x\x07ve\n>>> ")
    shown.render(event)
    assert shown.render(start_of(9, session="eve")) == "[eve >>>] In [9]: 1\n"


def test_every_kind_of_event_can_be_rendered_with_every_field_odd(shown: Shown):
    odd = {
        "data": {"image/png": "x"}, "generation": 7, "peak_memory_bytes": None, "memory_bytes": None, "adopted": True,
        "password": False, "token": 3, "duration_s": None,
    }  # fmt: skip
    for kind, fields in FIELDS.items():
        event = make_event(kind, 4, ALICE, **{field: odd.get(field, "\x1b[2Jodd\n") for field in fields})
        assert "\x1b" not in shown.render(event)


@pytest.mark.parametrize("is_colourful", [False, True])
@pytest.mark.parametrize("kind", [Kind.RESULT, Kind.DISPLAY, Kind.PAGE])
@pytest.mark.parametrize("foreground", [None, 4])
def test_values_cannot_speak_to_the_terminal(kind: str, foreground: int | None, is_colourful: bool):
    shown = Shown(is_colourful=is_colourful)
    shown.begin(make_status())
    shown.whose.foreground = foreground
    lines = [
        shown.render(make_event(kind, 4, ALICE, data=data))
        for data in ({"text/plain": "\x1b[2J4\x1b]0;title\x07\x9b2J2\b"}, {"image/\x1b[2Jpng": ""})
    ]
    assert "42" in lines[0]
    assert "<image/png>" in lines[1]
    for text in lines:
        assert re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\n", "").isprintable()


def test_colours_end_with_each_line():
    shown = Shown(is_colourful=True)
    shown.begin(make_status())
    lines = shown.render(print_of(4, "\x1b[31mred\nstill\n"))
    assert lines.split("\n")[0].endswith("\x1b[31mred\x1b[0m")
    value = make_event(Kind.RESULT, 7, ALICE, 2, data={"text/plain": "\x1b[8mhidden"})
    assert shown.render(value).endswith("\x1b[8mhidden\x1b[0m\n")


# ---------------------------------------------------------------------- words


def test_a_page_is_shown_as_text():
    shown = Shown()
    shown.whose.foreground = 3
    assert shown.render(make_event(Kind.PAGE, 3, data={"text/plain": "help\ntext"})) == "help\ntext\n"
    assert shown.render(make_event(Kind.PAGE, 3, data={"text/html": "<b>help</b>"})) == "<text/html>\n"


def test_what_code_proposes_to_run_next_is_shown_and_cleared_output_stays():
    shown = Shown()
    shown.whose.foreground = 3
    assert shown.render(make_event(Kind.NEXT_INPUT, 3, text="x = 1", replace=False)) == "x = 1\n"
    assert shown.render(make_event(Kind.CLEAR_OUTPUT, 3, wait=True)) == ""


def display_of(data: object) -> Event:
    return make_event(Kind.DISPLAY, 4, ALICE, 7, data=data, metadata={}, display_id=None, is_update=False)


def test_a_picture_stands_below_its_words_and_is_marked_where_it_is_text():
    shown = Shown(show_picture=lambda data, name: f"<picture: {name}>")
    shown.begin(make_status())
    lines = shown.render(display_of({"text/plain": "<Figure>", "image/png": "x"}))
    assert [line.rpartition("] ")[2] for line in lines.splitlines()][-2:] == ["<Figure>", "<picture: 4-7>"]


@pytest.mark.parametrize("data", [None, "text", [1], {}, {"text/plain": ["a"]}, {"image/png": 3}, {"\x1b[2J": None}])
def test_a_broken_mime_bundle_is_shown_as_what_it_is(shown: Shown, data: object):
    lines = shown.render(display_of(data))
    assert "<" in lines
    assert "\x1b" not in lines


def test_of_a_huge_value_only_the_beginning_is_shown(shown: Shown):
    lines = shown.render(display_of({"text/plain": "x" * 10_000_000}))
    assert len(lines) < 200_000
    assert lines.rstrip().endswith("<and 9900000 more characters>")


def test_code_that_would_take_a_second_to_colour_is_shown_without_colours():
    renderer = Renderer(is_colourful=True)
    assert "\x1b[" in renderer.highlight("x = 'text'\n" * 1000)
    assert renderer.highlight("x = 'text'\n" * 10_000) == "x = 'text'\n" * 10_000
