import pytest

from rpyc_kernel.faces.frontend.source import ends_in_semicolon, find_indent_here, indent_after, is_one_line_command


@pytest.mark.parametrize("code", ["work();", "work() ; ", "a = 1\nb = 2;", "for i in x:\n    work(i);\n", "x = ';';"])
def test_a_semicolon_at_the_end_means_background(code: str):
    assert ends_in_semicolon(code)


@pytest.mark.parametrize("code", ["work()", "x = 1; y = 2", "work()  # later;", "';'", "'''\n;'''", "# only;", ""])
def test_a_semicolon_elsewhere_does_not(code: str):
    assert not ends_in_semicolon(code)


@pytest.mark.parametrize("code", ["for i in x:", "f(", "'''abc", "x = \\", "if x:\n    y", "%%timeit", "%%bash\nls"])
def test_code_that_goes_on_is_noticed_also_without_a_kernel(code: str):
    assert find_indent_here(code) is not None


@pytest.mark.parametrize("code", ["1", "1 +", "await x", "for i in x:\n    pass\n", "%%timeit\nf()\n"])
def test_complete_and_hopeless_code_is_handed_in(code: str):
    assert find_indent_here(code) is None


@pytest.mark.parametrize("code", ["%jobs", " %time f()", "f?", "f??", "%%timeit?"])
def test_a_command_and_a_question_are_one_line(code: str):
    assert is_one_line_command(code)


@pytest.mark.parametrize("code", ["%%timeit", "%%bash\necho why?", "f(", "'%'"])
def test_everything_else_may_go_on(code: str):
    assert not is_one_line_command(code)


@pytest.mark.parametrize(
    ("line", "indent"),
    [
        ("if x:", "    "),
        ("    y = 1", "    "),
        ("        return 40", "    "),
        ("    pass", ""),
        ("    return (", "    "),
        ("    passing = 1", "    "),
    ],
)
def test_a_line_is_indented_by_the_one_before(line: str, indent: str):
    assert indent_after(line) == indent
