"""Broken promises of widgets."""

from tests.mutants import Mutant

_PANE = "faces/qt/test_transcript_pane.py::"
_TABLE = "faces/qt/test_table.py::"

MUTANTS = (
    Mutant(
        promise="a drawing of somebody else's shows no file of the reader's",
        file="faces/qt/drawings.py",
        before='_FOREIGN.sub(rb"\\1\\2\\2", content)',
        after="content",
        tests=(f"{_PANE}test_a_drawing_reads_no_files",),
    ),
    Mutant(
        promise="what is printed is text of a window and never its structure",
        file="faces/qt/transcript_pane.py",
        before="text[:left].translate(_UNDRAWABLE)",
        after="text[:left]",
        tests=(f"{_PANE}test_nothing_that_is_printed_is_more_than_text",),
    ),
    Mutant(
        promise="who has scrolled back is left there",
        file="faces/qt/transcript_pane.py",
        before="        if self._is_at_end:\n",
        after="        if True:\n",
        tests=(f"{_PANE}test_who_has_scrolled_back_stays_there_and_else_the_end_is_seen",),
    ),
    Mutant(
        promise="what was scrolled past is not fetched",
        file="faces/qt/table_model.py",
        before="        del self._wanted[:-_MAX_WANTED]\n",
        after="",
        tests=(f"{_TABLE}test_what_was_scrolled_past_is_not_asked_for_and_few_pages_are_kept",),
    ),
    Mutant(
        promise="who looks at an earlier plot goes on to do so",
        file="faces/qt/plots_pane.py",
        before="if follows or self.list.currentRow() < 0:",
        after="if True:",
        tests=("faces/qt/test_plots_pane.py::test_the_newest_is_seen_unless_one_looks_at_another",),
    ),
    Mutant(
        promise="what is called a picture and is a drawing shows no file of the reader's",
        file="faces/frontend/picture_size.py",
        before="    return 0, 0\n",
        after="    return 1, 1\n",
        tests=(f"{_PANE}test_a_drawing_reads_no_files",),
    ),
    Mutant(
        promise="a drawing of a billion shapes is not begun",
        file="faces/qt/drawings.py",
        before="sum(map(self.weigh, [*self._within[number], *used]))",
        after="sum(map(self.weigh, self._within[number]))",
        tests=("faces/qt/test_plots_pane.py::test_a_drawing_of_endless_work_is_not_begun",),
    ),
    Mutant(
        promise="editing a cell that is shown cut off does not write back what is shown",
        file="faces/frontend/conditions.py",
        before='return text if sanitize_line(text) == text and len(text) <= MAX_CELL_CHARS else ""',
        after="return text",
        tests=(f"{_TABLE}test_what_is_shown_cut_off_or_otherwise_is_not_what_editing_begins_with",),
    ),
    Mutant(
        promise="completions that are found later are shown though there were none at once",
        file="faces/qt/typing_help.py",
        before="elif not is_offered and found.items and (",
        after="elif not is_offered and (",
        tests=("end_to_end/test_qt.py::test_completions_that_take_longer_are_shown_though_there_were_none_at_once",),
    ),
    Mutant(
        promise="a window is not held up by reading what is pasted once for each of its lines",
        file="faces/qt/highlighter.py",
        before="if document.revision() != self._revision:",
        after="if True:",
        tests=("faces/qt/test_highlighter.py::test_all_of_what_is_pasted_is_read_once_at_most_and_not_for_each_line",),
    ),
)
