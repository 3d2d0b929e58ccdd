"""Broken promises of the full screen."""

from tests.mutants import Mutant

_APP = "faces/screen/test_app.py::"
_PANE = "faces/screen/test_transcript_pane.py::"
_PLOTS = "faces/screen/test_plots_pane.py::"

MUTANTS = (
    Mutant(
        promise="what is typed before anything has the focus is not lost",
        file="faces/screen/app.py",
        before="if self._early is not None and isinstance(event",
        after="if False and isinstance(event",
        tests=(
            f"{_APP}test_code_is_typed_even_before_there_is_a_place_for_it_and_its_value_output_and_error_are_seen",
        ),
    ),
    Mutant(
        promise="code that is entered before its prompt is there waits for it",
        file="faces/screen/app.py",
        before="if self._is_at_code and (code := self._typed_ahead.take_next()) is not None:",
        after="if (code := self._typed_ahead.take_next()) is not None:",
        tests=(f"{_APP}test_code_entered_while_other_code_runs_waits_for_its_prompt",),
    ),
    Mutant(
        promise="somebody else's code is not stopped by one key",
        file="faces/screen/app.py",
        before="if wanted.whose and may and wanted.number != self._doubtful:",
        after="if False:",
        tests=(f"{_APP}test_own_code_is_stopped_by_a_key_and_that_of_others_by_two",),
    ),
    Mutant(
        promise="who looks on stops nothing",
        file="faces/frontend/interrupting.py",
        before="        if not self._may_stop():\n            return\n        if await",
        after="        if await",
        tests=("faces/frontend/test_interrupting.py::test_an_execution_is_stopped_by_those_who_may",),
    ),
    Mutant(
        promise="of a container no more is asked for than is shown",
        file="faces/screen/variables_pane.py",
        before="kernel.children(variable.path, 0, opened[variable.path])",
        after="kernel.children(variable.path, 0, 1000)",
        tests=(f"{_APP}test_containers_open_in_place_and_page_by_page",),
    ),
    Mutant(
        promise="a picture that is too large is not read",
        file="faces/screen/plots_pane.py",
        before="if width * height > _MAX_PIXELS:",
        after="if False:",
        tests=(f"{_PLOTS}test_what_is_no_picture_gets_words_instead",),
    ),
    Mutant(
        promise="no picture holds up the keys",
        file="faces/screen/plots_pane.py",
        before="await asyncio.to_thread(shrink, picture)",
        after="shrink(picture)",
        tests=(f"{_PLOTS}test_a_picture_is_made_while_keys_are_heard_and_each_only_once",),
    ),
    Mutant(
        promise="a printed line is in sight as soon as it is drawn",
        file="faces/screen/transcript_pane.py",
        before="self.scroll_end(animate=False, immediate=True)",
        after="self.scroll_end(animate=False)",
        tests=(f"{_PANE}test_a_line_is_in_sight_as_soon_as_it_is_drawn",),
    ),
    Mutant(
        promise="of what goes on only what is new is broken into lines",
        file="faces/screen/transcript_pane.py",
        before="drawn.settled if drawn.settled[0] <= kept else (0, 0)",
        after="(0, 0)",
        tests=(f"{_PANE}test_of_what_goes_on_only_what_is_new_is_broken_into_lines",),
    ),
)
