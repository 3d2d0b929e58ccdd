"""What is shown of events, without a terminal or a window: whoever applies the changes sees the items."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.core.contract import FIELDS, Event, Kind
from rpyc_kernel.faces.frontend import transcript as module
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.transcript import (
    Added,
    Change,
    Cleared,
    Ended,
    Extended,
    Forgotten,
    Item,
    Shown,
    Transcript,
    Updated,
)
from tests.faces.frontend.events import ALICE, ME, make_event, make_item, make_status


class Window:
    """What one sees who applies the changes: the text of each item, by how the changes tell it."""

    def __init__(self) -> None:
        self.shown: dict[Item, str] = {}

    def apply(self, changes: list[Change]) -> None:
        for change in changes:
            match change:
                case Added(item):
                    assert item not in self.shown
                    self.shown[item] = item.text
                case Extended(item, _, kept):
                    self.shown[item] = self.shown[item][:kept] + item.text[kept:]
                case Updated(items):
                    self.shown.update((item, item.text) for item in items)
                case Cleared(items=items) | Forgotten(items):
                    for item in items:
                        del self.shown[item]
                case Ended():
                    pass

    @property
    def texts(self) -> list[str]:
        return list(self.shown.values())


class Case:
    """Events that are taken as they are made, and what is seen of them."""

    def __init__(self) -> None:
        self.transcript = Transcript(ME)
        self.transcript.begin(make_status())
        self.transcript.whose.adopt(4)
        self.transcript.whose.foreground = 4
        self.window = Window()
        self.seq = 0

    def take(self, kind: str, execution: int | None = 4, session: str | None = ME, **fields: Any) -> list[Change]:
        self.seq += 1
        changes = self.transcript.take(make_event(kind, execution, session, self.seq, **fields))
        self.window.apply(changes)
        return changes

    def print(self, text: str, execution: int | None = 4, name: str = "stdout") -> list[Change]:
        session = None if execution is None else ME if execution < 6 else ALICE
        return self.take(Kind.STREAM, execution, session, name=name, text=text)

    def display(self, text: str, display_id: str | None = "d", *, is_update: bool = False) -> list[Change]:
        return self.take(Kind.DISPLAY, data={"text/plain": text}, display_id=display_id, is_update=is_update)


@pytest.fixture
def case() -> Case:
    return Case()


def test_what_is_printed_in_pieces_is_one_item_that_grows(case: Case):
    first, second = case.print("to"), case.print("gether\n")
    assert isinstance(first[0], Added)
    assert isinstance(second[0], Extended)
    assert case.window.texts == ["together\n"]


def test_standard_error_is_an_item_of_its_own(case: Case):
    case.print("out\n")
    case.print("err\n", name="stderr")
    assert [(item.stream, item.text) for item in case.transcript.items] == [("stdout", "out\n"), ("stderr", "err\n")]


def test_a_line_that_is_overwritten_holds_what_came_last(case: Case):
    case.print("before\n10%")
    (change,) = case.print("\r20%")
    assert isinstance(change, Extended)
    assert change.kept == len("before\n")
    assert case.window.texts == ["before\n20%"]


def test_others_output_and_ones_own_in_the_background_say_whose_they_are(case: Case):
    case.take(Kind.QUEUED, 7, ALICE, code="look()", name="alice")
    case.take(Kind.STARTED, 7, ALICE, generation=1, count=3)
    case.print("seen\n", 7)
    case.transcript.whose.adopt(5)
    case.print("mine\n", 5)
    case.print("late\n", None)
    case.print("bare\n", 4)
    found = [(item.shown, item.whose, item.text) for item in case.transcript.items]
    assert found == [
        (Shown.INPUT, "alice", "look()"),
        (Shown.STREAM, "alice", "seen\n"),
        (Shown.STREAM, "5", "mine\n"),
        (Shown.STREAM, "background", "late\n"),
        (Shown.STREAM, "", "bare\n"),
    ]


def test_who_asks_to_run_what_is_told_in_a_line_and_by_whom_it_is_let_go(case: Case):
    case.take(Kind.QUEUED, 7, ALICE, code="look()", name="alice", is_held=True)
    case.take(Kind.QUEUED, 8, ALICE, code="\nx = 1\nif x:\n  boom()\n", name="alice", is_held=True)
    case.take(Kind.QUEUED, 9, ALICE, code="x" * 70, name="al\x1b[2Jice", is_held=True)
    case.take(Kind.QUEUED, 10, ME, code="mine()", name="me", is_held=True)
    case.take(Kind.QUEUED, 11, ALICE, code="fine()", name="alice", is_held=False)
    case.take(Kind.APPROVED, 7, ALICE, by="bob")
    case.take(Kind.STARTED, 7, ALICE, generation=1, count=3)
    assert [(item.shown, item.tone, item.text) for item in case.transcript.items] == [
        (Shown.NOTICE, Tone.WARNING, "alice asks to run [7] look(): %approve 7 or %decline 7"),
        (
            Shown.NOTICE,
            Tone.WARNING,
            "alice asks to run [8] x = 1 and 2 more lines (%code 8): %approve 8 or %decline 8",
        ),
        (Shown.NOTICE, Tone.WARNING, f"alice asks to run [9] {'x' * 57}... (%code 9): %approve 9 or %decline 9"),
        (Shown.NOTICE, Tone.FAINT, "[10] waits until somebody approves it"),
        (Shown.NOTICE, Tone.FAINT, "[bob lets execution 7 run]"),
        (Shown.INPUT, Tone.PLAIN, "look()"),
    ]


def test_cleared_output_is_taken_away_at_once_or_with_what_comes_next(case: Case):
    case.print("one\n")
    case.take(Kind.CLEAR_OUTPUT, wait=False)
    assert case.window.texts == []
    case.print("two\n")
    case.take(Kind.CLEAR_OUTPUT, wait=True)
    assert case.window.texts == ["two\n"]
    case.print("three\n")
    assert case.window.texts == ["three\n"]


def test_clearing_takes_nothing_of_anybody_else(case: Case):
    case.print("theirs\n", 7)
    case.print("mine\n")
    case.take(Kind.CLEAR_OUTPUT, wait=False)
    assert case.window.texts == ["theirs\n"]


def test_a_display_is_updated_wherever_it_stands(case: Case):
    case.display("a")
    case.print("between\n")
    case.display("b")
    (change,) = case.display("c", is_update=True)
    assert isinstance(change, Updated)
    assert case.window.texts == ["c", "between\n", "c"]


def test_an_update_of_what_is_not_there_is_shown_below(case: Case):
    (change,) = case.display("c", is_update=True)
    assert isinstance(change, Added)
    assert change.item.is_update


def test_the_end_of_an_execution_is_told_and_not_shown_where_one_waited(case: Case):
    assert [type(change) for change in case.take(Kind.FINISHED, outcome="ok")] == [Ended]
    case.transcript.whose.adopt(5)
    case.take(Kind.FINISHED, 5, outcome="error", duration_s=2.0)
    assert [(item.whose, item.text) for item in case.transcript.items] == [("5", "finished: error after 2.0 s")]


def test_of_a_batch_what_a_later_event_clears_is_not_shown_at_all(case: Case):
    events = [make_event(Kind.STREAM, 4, ME, 1, name="stdout", text="gone\n"), make_event(Kind.CLEAR_OUTPUT, 4, ME, 2)]
    assert not [change for change in case.transcript.take_all(events) if isinstance(change, Added)]


def test_what_it_holds_is_bounded_by_number_and_by_size(case: Case, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_ITEMS", 10)
    for number in range(30):
        case.display(str(number), None)
    assert case.window.texts == [str(number) for number in range(20, 30)]
    monkeypatch.setattr(module, "_MAX_CHARS", 1000)
    case.take(Kind.DISPLAY, data={"text/plain": "big", "image/png": "x" * 2000})
    assert case.window.texts == ["big"]


def test_a_stream_without_end_is_held_in_parts(case: Case):
    for _ in range(200):
        case.print("x" * 999 + "\n")
    assert len(case.transcript.items) > 5
    assert max(len(text) for text in case.window.texts) <= 2 * module._MAX_ITEM_CHARS


def test_a_display_of_a_hundred_megabytes_is_shown_by_its_beginning(case: Case):
    case.display("x" * 100_000_000)
    (item,) = case.transcript.items
    assert len(item.text) < 110_000
    assert item.text.endswith("<and 99900000 more characters>")


def test_what_the_front_end_says_itself_is_an_item_too(case: Case):
    case.window.apply(case.transcript.say("connection lost", Tone.TROUBLE))
    assert [(item.shown, item.tone) for item in case.transcript.items] == [(Shown.NOTICE, Tone.TROUBLE)]


def test_nothing_in_an_item_speaks_to_a_terminal(case: Case):
    hostile = {
        "data": {"text/plain": "\x1b[2J"}, "generation": 7, "peak_memory_bytes": None, "memory_bytes": None,
        "adopted": True, "duration_s": None, "is_update": False,
    }  # fmt: skip
    for kind, fields in FIELDS.items():
        for execution in (4, 7):
            values = {field: hostile.get(field, "\x1b[2J\x1b]0;x\x07odd\n") for field in fields}
            case.take(kind, execution, ALICE, **values)
    assert not [item for item in case.transcript.items if "\x1b" in item.text + item.whose or "\x07" in item.text]


def test_an_event_that_lacks_something_is_told_and_takes_no_other_away(case: Case):
    case.window.apply(case.transcript.take(Event(7, 0.0, Kind.WORKER_STARTED, None, None, {"pid": 3})))
    case.print("on\n")
    assert "event 7 cannot be shown" in case.window.texts[0]
    assert case.window.texts[1] == "on\n"


def test_whose_runs_when_one_comes_is_known():
    transcript = Transcript(ME)
    transcript.begin(make_status(running=make_item(9, ALICE)))
    transcript.take(make_event(Kind.STREAM, 9, None, name="stdout", text="x\n"))
    assert [item.whose for item in transcript.items] == ["alice"]


_STEPS = st.one_of(
    st.tuples(st.just("print"), st.sampled_from([4, 5, 7, None]), st.text("ab\r\n", max_size=8)),
    st.tuples(st.just("clear"), st.sampled_from([4, 5, 7]), st.booleans()),
    st.tuples(st.just("display"), st.sampled_from(["d", "e", None]), st.booleans()),
    st.tuples(st.just("finish"), st.sampled_from([4, 5, 7]), st.just(None)),
)


@settings(deadline=None)
@given(st.lists(_STEPS, max_size=40))
def test_who_applies_every_change_sees_just_the_items(steps: list[tuple[str, Any, Any]]):
    case = Case()
    for number, (what, where, how) in enumerate(steps):
        if what == "print":
            case.print(how, where)
        elif what == "clear":
            case.take(Kind.CLEAR_OUTPUT, where, ME, wait=how)
        elif what == "display":
            case.display(str(number), where, is_update=how)
        else:
            case.take(Kind.FINISHED, where, ME, outcome="ok")
    assert case.window.shown == {item: item.text for item in case.transcript.items}
    assert list(case.window.shown) == list(case.transcript.items)


def _texts(transcript: Transcript) -> list[list[Any]]:
    """What is shown, with pieces of a stream that follow each other as one."""
    shown: list[list[Any]] = []
    for item in transcript.items:
        if item.stream and shown and shown[-1][:2] == [item.stream, item.execution]:
            shown[-1][2] += item.text
        else:
            shown.append([item.stream, item.execution, item.text])
    return shown


@st.composite
def _outputs(draw: Any) -> list[Event]:
    kinds = st.sampled_from([Kind.STREAM, Kind.CLEAR_OUTPUT, Kind.DISPLAY, Kind.RESULT])
    events = []
    for seq, kind in enumerate(draw(st.lists(kinds, max_size=9)), 1):
        fields: dict[str, Any] = {"data": {"text/plain": str(seq)}, "display_id": draw(st.sampled_from("de"))}
        if kind == Kind.STREAM:
            fields = {"name": "stdout", "text": f"{seq};"}
        elif kind == Kind.CLEAR_OUTPUT:
            fields = {"wait": draw(st.booleans())}
        elif kind == Kind.DISPLAY:
            fields["is_update"] = draw(st.booleans())
        elif draw(st.booleans()):
            del fields["display_id"]
        events.append(Event(seq, 0.0, kind, draw(st.sampled_from([4, 7])), ALICE, fields))
    return events


@settings(deadline=None)
@given(_outputs(), st.integers(0, 9))
def test_who_takes_events_in_batches_comes_to_the_same_as_who_takes_one_by_one(events: list[Event], cut: int):
    batches, singly = Transcript(ME), Transcript(ME)
    for batch in (events[:cut], events[cut:]):
        batches.take_all(batch)
    for event in events:
        singly.take(event)
    assert _texts(batches) == _texts(singly)


def test_what_stands_as_a_whole_overwrites_no_mark(case: Case):
    text = "real\r\x1b[31m[bob] fake\r\n"
    case.take(Kind.QUEUED, 7, ALICE, code=text, name="alice", is_input=True)
    case.take(Kind.STARTED, 7, ALICE, count=1)
    case.take(Kind.RESULT, 7, ALICE, data={"text/plain": text})
    case.take(Kind.ERROR, 7, ALICE, ename="E", evalue="x", traceback=text)
    case.take(Kind.NEXT_INPUT, 7, ALICE, text=text)
    case.transcript.say(text)
    case.transcript.echo(text)
    assert len(case.transcript.items) == 6
    assert not [item.text for item in case.transcript.items if "\r" in item.text]
    assert [item.text.strip() for item in case.transcript.items if item.shown in (Shown.INPUT, Shown.PROPOSAL)] == [
        "real\n[bob] fake"
    ] * 3, "code before a carriage return runs, too"


def test_what_was_typed_here_is_an_item_where_a_front_end_wants_that(case: Case) -> None:
    case.window.apply(case.transcript.echo("6 * 7"))
    (item,) = case.window.shown
    assert (item.shown, item.whose, item.text) == (Shown.INPUT, "", "6 * 7")


def test_what_was_handed_in_here_is_known_by_its_code_and_bare_until_it_ends():
    transcript = Transcript("me")
    transcript.echo("6 * 7", is_handed_in=True)
    ours = Event(1, 0.0, "queued", 1, "me", {"code": "6 * 7", "name": "bob", "is_input": True})
    twin = Event(2, 0.0, "queued", 2, "me", {"code": "6 * 7", "name": "bob", "is_input": True})
    transcript.take_all([ours, twin])
    assert transcript.whose.foreground == 1
    assert [transcript.whose.is_own(number) for number in (1, 2)] == [True, False]
    transcript.take(Event(3, 0.0, "finished", 1, "me", {"outcome": "ok", "duration_s": 0.1, "reason": None}))
    assert transcript.whose.foreground is None
