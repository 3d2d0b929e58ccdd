"""Which text is shown when."""

from rpyc_kernel.faces.jupyter.lines import Lines


class Shown:
    """Lines, a clock, and what was shown."""

    def __init__(self) -> None:
        self.now = 0.0
        self.texts: list[tuple[int | None, str, str]] = []
        self.lines = Lines(lambda *shown: self.texts.append(shown), lambda: self.now)

    def write(self, *texts: str, name: str = "stdout", execution: int | None = 1) -> None:
        for text in texts:
            self.lines.take(execution, name, text)


def test_whole_lines_are_shown_at_once() -> None:
    shown = Shown()
    shown.write("a\nb\n")
    assert shown.texts == [(1, "stdout", "a\nb\n")]
    assert shown.lines.patience_s is None


def test_a_line_in_pieces_is_shown_as_one() -> None:
    shown = Shown()
    shown.write("a", "b", "c\n")
    assert shown.texts == [(1, "stdout", "abc\n")]


def test_a_line_that_does_not_end_is_shown_after_a_moment_however_much_is_added() -> None:
    shown = Shown()
    shown.write("a")
    shown.now = 0.06
    shown.write("b")
    shown.lines.end_due()
    assert shown.texts == []
    assert shown.lines.patience_s is not None
    shown.now += shown.lines.patience_s
    shown.lines.end_due()
    assert shown.texts == [(1, "stdout", "ab")]
    assert shown.lines.patience_s is None


def test_streams_keep_their_order() -> None:
    shown = Shown()
    shown.write("out")
    shown.write("err", name="stderr")
    shown.lines.end(1)
    assert shown.texts == [(1, "stdout", "out"), (1, "stderr", "err")]


def test_executions_have_lines_of_their_own() -> None:
    shown = Shown()
    shown.write("one")
    shown.write("none", execution=None)
    shown.write("two\n", execution=2)
    assert shown.texts == [(2, "stdout", "two\n")]
    shown.lines.end_all()
    assert shown.texts[1:] == [(1, "stdout", "one"), (None, "stdout", "none")]
