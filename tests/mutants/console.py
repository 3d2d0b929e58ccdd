"""Broken promises of what a console shows."""

from tests.mutants import Mutant

_BACK = "faces/console/test_kernel_link.py::"
_TALK = "faces/console/test_conversation.py::"
_RENDER = "faces/frontend/test_render.py::"

MUTANTS = (
    Mutant(
        promise="no text clears another's screen",
        file="faces/frontend/control_characters.py",
        before="(?:\\x1b\\[|\\x9b)[0-?]*",
        after="(?:\\x1b\\[)[0-?]*",
        tests=(
            "faces/frontend/test_control_characters.py::test_what_a_terminal_would_obey_is_taken_out_and_the_text_around_it_stays",
        ),
    ),
    Mutant(
        promise="a name stays on one line",
        file="faces/frontend/control_characters.py",
        before='" ".join(sanitize(text).split())',
        after="sanitize(text)",
        tests=("faces/frontend/test_control_characters.py::test_a_name_stays_on_one_line",),
    ),
    Mutant(
        promise="no value clears another's screen",
        file="faces/frontend/transcript.py",
        before="kept = _clean(plain[:_MAX_SHOWN_CHARS], keep_colours=True)",
        after="kept = plain[:_MAX_SHOWN_CHARS]",
        tests=(f"{_RENDER}test_values_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no name of a kind of picture clears another's screen",
        file="faces/frontend/transcript.py",
        before="sanitize_line(', '.join(map(str, data)))",
        after="', '.join(map(str, data))",
        tests=(f"{_RENDER}test_values_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no page that one reads clears one's screen",
        file="faces/frontend/conversation.py",
        before="page = sanitize(plain, keep_colours=True)",
        after="page = plain",
        tests=("faces/frontend/test_conversation.py::test_a_page_that_the_user_reads_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="what code asks clears nobody's screen",
        file="faces/frontend/conversation.py",
        before="asked = sanitize(question, keep_colours=True)",
        after="asked = question",
        tests=("faces/frontend/test_conversation.py::test_what_code_asks_cannot_speak_to_the_terminal",),
    ),
    Mutant(
        promise="no output clears another's screen",
        file="faces/frontend/transcript.py",
        before="sanitize(event.text, keep_colours=True)",
        after="event.text",
        tests=(f"{_RENDER}test_every_kind_of_event_can_be_rendered_with_every_field_odd",),
    ),
    Mutant(
        promise="no traceback clears another's screen",
        file="faces/frontend/transcript.py",
        before="_clean(event.traceback)",
        after="event.traceback",
        tests=(f"{_RENDER}test_every_kind_of_event_can_be_rendered_with_every_field_odd",),
    ),
    Mutant(
        promise="a console that comes back knows what it has shown last",
        file="faces/frontend/conversation.py",
        before="self._seen = batch[-1].seq",
        after="self._seen = batch[-1].seq - 1",
        tests=(f"{_BACK}test_what_was_missed_is_announced_where_something_was",),
    ),
    Mutant(
        promise="what one typed is not told to oneself",
        file="faces/frontend/conversation.py",
        before="            self._whose.adopt(number)\n",
        after="",
        tests=(f"{_TALK}test_of_what_one_waits_for_output_and_value_are_shown_and_no_more",),
    ),
    Mutant(
        promise="no event is shown before it is known whose it is",
        file="faces/frontend/conversation.py",
        before="        self._has_number.clear()\n",
        after="",
        tests=(f"{_TALK}test_of_what_one_waits_for_output_and_value_are_shown_and_no_more",),
    ),
    Mutant(
        promise="Ctrl-C lets go what is known a moment before it",
        file="faces/frontend/conversation.py",
        before="            if handing_in.done() and not is_background:",
        after="            if False:",
        tests=(f"{_TALK}test_ctrl_c_in_the_moment_that_the_number_comes_lets_the_execution_go",),
    ),
    Mutant(
        promise="every event is shown once",
        file="faces/frontend/conversation.py",
        before="self._view.show(self.transcript.take_all(shown))",
        after="self._view.show(self.transcript.take_all(shown) + self.transcript.take_all(shown))",
        tests=(f"{_TALK}test_an_error_is_shown_once",),
    ),
    Mutant(
        promise="the end of what one waits for is not told",
        file="faces/frontend/transcript.py",
        before="is_marked=is_here and bool(whose)",
        after="is_marked=is_here",
        tests=(f"{_TALK}test_of_what_one_waits_for_output_and_value_are_shown_and_no_more",),
    ),
    Mutant(
        promise="the ends of others' work are not told",
        file="faces/frontend/transcript.py",
        before="is_marked=is_here and bool(whose)",
        after="is_marked=bool(whose)",
        tests=(f"{_TALK}test_others_are_told_apart_and_their_ends_are_not_told",),
    ),
    Mutant(
        promise="what others have running is no job of the user's",
        file="faces/frontend/jobs.py",
        before="if event.execution is None or event.session != self._session:",
        after="if event.execution is None:",
        tests=(f"{_TALK}test_what_others_run_and_are_asked_is_not_the_users",),
    ),
    Mutant(
        promise="help tells the keys of the front end that it is read in",
        file="faces/frontend/conversation.py",
        before="(self._view.keys, COMMANDS.rstrip())",
        after="(COMMANDS.rstrip(),)",
        tests=(f"{_TALK}test_help_tells_the_keys_of_the_screen_and_lists_every_command",),
    ),
)
