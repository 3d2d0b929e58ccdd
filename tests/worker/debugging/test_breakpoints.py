"""Breakpoints are looked at before debugpy gets them: whether there is code, and whether a condition is one."""

import pytest

from rpyc_kernel.worker.debugging.breakpoints import join, look_at

_SOURCE = "def f():\n    # nothing\n\n    return 1\n\nawait f()\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "source.py"
    file.write_text(_SOURCE)
    return str(file)


def ask(path, *wanted):
    return {"source": {"path": path}, "breakpoints": list(wanted)}


def answer(request):
    """What debugpy says to what it is asked."""
    return {"body": {"breakpoints": [{"verified": True, "line": each["line"]} for each in request["breakpoints"]]}}


def told(path, *wanted, runs_past=lambda path: False):
    request, verdicts = look_at(ask(path, *wanted), runs_past)
    return [
        (each["verified"], each["line"], each.get("message", ""))
        for each in join(answer(request), verdicts)["body"]["breakpoints"]
    ]


def test_each_is_answered_in_its_place(path):
    assert told(
        path, {"line": 2}, {"line": 7}, {"line": 4, "condition": "x >"}, {"line": 6, "condition": " x > 1"}
    ) == [
        (True, 4, ""),
        (False, 7, f"{path} has no code at line 7 or behind it"),
        (False, 4, "the condition 'x >' is no expression: invalid syntax"),
        (True, 6, ""),
    ]


def test_a_file_that_changed_is_read_again(path, tmp_path):
    assert told(path, {"line": 2}) == [(True, 4, "")]
    (tmp_path / "source.py").write_text("a = 1\nb = 2\nlonger = 3\n")
    assert told(path, {"line": 2}) == [(True, 2, "")]


@pytest.mark.parametrize("source", ["%time 1\nx = 1\n", "x = (\n", "\0", ""])
def test_what_is_no_plain_python_is_left_to_debugpy(tmp_path, source):
    (tmp_path / "cell.py").write_text(source)
    assert told(str(tmp_path / "cell.py"), {"line": 2}) == [(True, 2, "")]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"source": 5}, {"breakpoints": 5}, {"source": [], "breakpoints": [5]}, {"breakpoints": [{}, {"line": "1"}]}],
)
def test_nonsense_is_left_to_debugpy_or_answered(arguments):
    request, verdicts = look_at(arguments, lambda _: False)
    assert join({"success": False}, verdicts) == {"success": False}
    assert request.keys() == arguments.keys()


def test_a_file_that_is_run_past_says_so_and_none_is_set_there(path):
    found = told(path, {"line": 4}, {"line": 1, "condition": "x >"}, runs_past=lambda each: each == path)
    words = f"{path} is of a library, and the debugger stops in the user's own code alone"
    assert found == [(False, 4, words), (False, 1, "the condition 'x >' is no expression: invalid syntax")]
    assert look_at(ask(path, {"line": 4}), lambda _: True)[0]["breakpoints"] == []
