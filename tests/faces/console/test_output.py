from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.console.output import ConsoleView
from rpyc_kernel.faces.console.text_width import count_rows
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Transcript, find_superseded
from tests.faces.frontend.events import ALICE, ME, make_event, make_status

ROWS, COLUMNS = 10, 40


class Paper:
    """A `Screen` that is a text, of which the last rows can be written over."""

    is_colourful = False
    is_interactive = True
    keys = ""
    is_reading = False

    def __init__(self, room: tuple[int, int] | None) -> None:
        self.room = room
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def refresh(self) -> None:
        """Nothing is drawn."""

    is_too_long = propose = interrupt = withdraw = refresh

    def replace(self, old: str, new: str) -> bool:
        if old == new:
            return True
        if not self.text.endswith(old) or count_rows(old, COLUMNS) > ROWS:
            return False
        self.text = self.text[: len(self.text) - len(old)] + new
        return True

    def end_line(self) -> None:
        if self.text and not self.text.endswith("\n"):
            self.text += "\n"


class Show:
    """A transcript on paper, and events that are handed to it as they are made."""

    def __init__(self, room: tuple[int, int] | None = (ROWS, COLUMNS)) -> None:
        self.transcript = Transcript(ME)
        self.transcript.begin(make_status())
        self.transcript.whose.adopt(4)
        self.transcript.whose.adopt(5)
        self.transcript.whose.foreground = 4
        self.paper = Paper(room)
        self.view = ConsoleView(self.paper, Renderer(is_colourful=False))  # type: ignore[arg-type]
        self._seq = 0

    @property
    def text(self) -> str:
        return self.paper.text

    def print(self, text: str, execution: int = 4) -> None:
        self._take(Kind.STREAM, execution, name="stdout", text=text)

    def clear(self, execution: int = 4, *, wait: bool = False) -> None:
        self._take(Kind.CLEAR_OUTPUT, execution, wait=wait)

    def display(self, text: str, display_id: str, execution: int = 4, *, is_update: bool = False) -> None:
        data = {"text/plain": text}
        self._take(Kind.DISPLAY, execution, data=data, display_id=display_id, is_update=is_update)

    def say(self, text: str) -> None:
        self.view.show(self.transcript.say(text))

    def finish(self, execution: int = 4) -> None:
        self._take(Kind.FINISHED, execution, outcome="ok")

    def _take(self, kind: str, execution: int, **fields: object) -> None:
        self._seq += 1
        event = make_event(kind, execution, ALICE if execution >= 6 else ME, self._seq, **fields)
        self.view.show(self.transcript.take(event))


# ---------------------------------------------------------------------- clearing


def test_cleared_output_is_gone():
    show = Show()
    show.print("one\ntwo\n")
    show.clear()
    show.print("three\n")
    assert show.text == "three\n"


def test_output_that_is_cleared_when_something_new_comes_stands_until_then():
    show = Show()
    show.print("one\n")
    show.clear(wait=True)
    assert show.text == "one\n"
    show.print("two\n")
    assert show.text == "two\n"


def test_a_loop_that_clears_looks_like_one_line_that_changes():
    show = Show()
    for number in range(100):
        show.clear(wait=True)
        show.print(f"{number} %")
    show.finish()
    assert show.text == "99 %"


def test_clearing_nothing_is_nothing():
    show = Show()
    show.say("said")
    show.clear()
    show.print("one\n")
    assert show.text == "said\none\n"


def test_only_the_output_of_the_execution_itself_is_cleared():
    show = Show()
    show.print("before\n", 5)
    show.print("one\n")
    show.print("of another\n", 6)
    show.say("said")
    show.clear()
    show.print("two\n")
    assert show.text == "[5] before\n[alice] of another\nsaid\ntwo\n"


def test_two_loops_side_by_side_show_one_line_each():
    show = Show()
    for number in range(50):
        for execution in (4, 6):
            show.clear(execution, wait=True)
            show.print(f"{number}\n", execution)
    assert sorted(show.text.splitlines()) == ["49", "[alice] 49"]


def test_what_was_cleared_in_the_middle_of_a_line_leaves_no_empty_line():
    show = Show()
    show.print("one\n")
    show.print("half", 5)
    show.clear(5)
    show.print("two\n")
    assert show.text == "one\ntwo\n"


def test_what_is_out_of_sight_is_cleared_by_a_mark_once():
    show = Show()
    show.print("one\n")
    for number in range(20):
        show.print(f"{number}\n", 6)
    for number in range(50):
        show.clear(wait=True)
        show.print(f"new {number}\n")
    *others, mark, last = show.text.splitlines()
    assert others[0] == "one"
    assert (mark, last) == ("[output cleared]", "new 49")
    assert len(others) == 21


def test_output_that_changes_and_is_too_tall_is_shown_in_part_and_whole_at_the_end():
    show = Show()
    tall = "".join(f"line {number}\n" for number in range(30))
    for number in range(20):
        show.clear(wait=True)
        show.print(f"version {number}\n{tall}")
    assert show.text.startswith(f"version 0\n{tall}[output cleared]\nversion 19\nline 0\n")
    assert show.text.endswith("line 7\n[more of this at its end]\n")
    show.print("last words\n")
    show.finish()
    assert show.text == f"version 0\n{tall}[output cleared]\nversion 19\n{tall}last words\n"


def test_too_much_to_be_held_back_is_shown():
    show = Show()
    show.print("one\n")
    show.clear()
    for _ in range(100):
        show.print("x" * 30 * COLUMNS + "\n")
        show.print("y" * 30 * COLUMNS + "\n")
    show.finish()
    assert show.text.count("y" * 30 * COLUMNS) == 100


def test_a_finished_execution_can_clear_what_its_thread_prints():
    show = Show()
    show.finish(5)
    show.print("one\n", 5)
    show.clear(5)
    show.print("two\n", 5)
    assert show.text == "[5] finished: ok\n[5] two\n"


# ---------------------------------------------------------------------- updating


def test_an_updated_display_changes_where_it_stands():
    show = Show()
    show.display("step 0", "d")
    show.print("printed\n")
    for number in range(1, 50):
        show.display(f"step {number}", "d", is_update=True)
    show.print("more\n")
    assert show.text == "step 49\nprinted\nmore\n"


def test_others_displays_change_in_their_place_too():
    show = Show()
    show.display("step 0", "d", 6)
    show.print("printed\n")
    show.display("step 1", "d", 6, is_update=True)
    assert show.text == "[alice] Display: step 1\nprinted\n"


def test_a_display_that_another_execution_updates_changes_in_its_place():
    show = Show()
    show.display("step 0", "d")
    show.finish()
    show.display("step 1", "d", 5, is_update=True)
    assert show.text == "[5] Display: step 1\n"


def test_a_display_grows_and_shrinks():
    show = Show()
    show.display("one", "d")
    show.print("below\n")
    show.display("one\ntwo\nthree", "d", is_update=True)
    assert show.text == "one\ntwo\nthree\nbelow\n"
    show.display("none", "d", is_update=True)
    assert show.text == "none\nbelow\n"


def test_a_display_out_of_sight_is_shown_again_once_with_a_mark_and_then_changes_there():
    show = Show()
    show.display("step 0", "d")
    for number in range(20):
        show.print(f"{number}\n", 6)
    for number in range(1, 50):
        show.display(f"step {number}", "d", is_update=True)
    lines = show.text.splitlines()
    assert lines[0] == "step 0"
    assert lines[-2:] == ["[display updated]", "step 49"]
    assert len(lines) == 1 + 20 + 2


def test_an_update_of_what_was_never_shown_is_shown():
    show = Show()
    show.display("step 7", "d", is_update=True)
    assert show.text == "[display updated]\nstep 7\n"


def test_a_tall_display_is_shown_in_part_and_whole_at_the_end():
    show = Show()
    show.display("short", "d")
    tall = "".join(f"line {number}\n" for number in range(30))
    for number in range(20):
        show.display(f"version {number}\n{tall}", "d", is_update=True)
    assert show.text.count("version") == 1
    assert show.text.endswith("[more of this at its end]\n")
    show.finish()
    assert show.text == f"version 19\n{tall}"


def test_where_nothing_can_be_rewritten_each_version_is_written():
    show = Show(room=None)
    show.display("step 0", "d")
    show.display("step 1", "d", is_update=True)
    show.clear()
    show.print("two\n")
    assert show.text == "step 0\nstep 1\ntwo\n"


# ---------------------------------------------------------------------- what nobody would see


def stream(seq: int, text: str, execution: int = 4) -> Event:
    return make_event(Kind.STREAM, execution, ME, seq, name="stdout", text=text)


def clear(seq: int, execution: int = 4, *, wait: bool = True) -> Event:
    return make_event(Kind.CLEAR_OUTPUT, execution, ME, seq, wait=wait)


def update(seq: int, display_id: str = "d") -> Event:
    return make_event(Kind.DISPLAY, 4, ME, seq, data={"text/plain": str(seq)}, display_id=display_id, is_update=True)


def test_what_is_cleared_in_the_same_breath_is_not_shown():
    events = [clear(1), stream(2, "a"), stream(3, "other", 5), clear(4), stream(5, "b"), clear(6), stream(7, "c")]
    assert find_superseded(events) == {1, 2, 4, 5}


def test_what_is_to_be_cleared_by_what_comes_later_is_shown_until_then():
    assert find_superseded([clear(1), stream(2, "a"), clear(3)]) == set()
    assert find_superseded([clear(1), stream(2, "a"), clear(3, wait=False)]) == {1, 2}


def test_of_several_updates_the_first_and_the_last_are_shown():
    assert find_superseded([update(1), update(2, "e"), update(3), update(4), update(5, "e")]) == {3}


def test_what_is_never_cleared_is_shown():
    late = make_event(Kind.CLEAR_OUTPUT, None, None, 2, wait=False)
    assert find_superseded([stream(1, "a", 5), late, clear(3, wait=False)]) == set()
