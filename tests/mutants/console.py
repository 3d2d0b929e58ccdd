"""Broken promises of what a console shows."""

from tests.mutants import Mutant

_RENDER = "faces/console/test_render.py::"

MUTANTS = (
    Mutant(
        promise="no text clears another's screen",
        file="faces/console/control_characters.py",
        before="(?:\\x1b\\[|\\x9b)[0-?]*",
        after="(?:\\x1b\\[)[0-?]*",
        tests=(
            "faces/console/test_control_characters.py::test_what_a_terminal_would_obey_is_taken_out_and_the_text_around_it_stays",
        ),
    ),
    Mutant(
        promise="a name stays on one line",
        file="faces/console/control_characters.py",
        before='" ".join(tame(text).split())',
        after="tame(text)",
        tests=("faces/console/test_control_characters.py::test_a_name_stays_on_one_line",),
    ),
    Mutant(
        promise="no value clears another's screen",
        file="faces/console/render.py",
        before="kept = tame(text[:_MAX_SHOWN_CHARS], keep_colours=self._is_colourful)",
        after="kept = text[:_MAX_SHOWN_CHARS]",
        tests=(f"{_RENDER}test_values_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no name of a kind of picture clears another's screen",
        file="faces/console/render.py",
        before="tame_line(', '.join(map(str, data)))",
        after="', '.join(map(str, data))",
        tests=(f"{_RENDER}test_values_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no page that one reads clears one's screen",
        file="faces/console/render.py",
        before="_end_line(tame(plain, keep_colours=self._is_colourful))",
        after="_end_line(plain)",
        tests=(f"{_RENDER}test_a_page_that_the_user_reads_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no output clears another's screen",
        file="faces/console/render.py",
        before="text = tame(event.text, keep_colours=self._is_colourful)",
        after="text = event.text",
        tests=(f"{_RENDER}test_every_kind_of_event_can_be_rendered_with_every_field_odd",),
    ),
    Mutant(
        promise="no traceback clears another's screen",
        file="faces/console/render.py",
        before="tame(event.traceback)",
        after="event.traceback",
        tests=(f"{_RENDER}test_every_kind_of_event_can_be_rendered_with_every_field_odd",),
    ),
)
