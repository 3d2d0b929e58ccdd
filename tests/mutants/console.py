"""Broken promises of what a console shows."""

from tests.mutants import Mutant

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
)
