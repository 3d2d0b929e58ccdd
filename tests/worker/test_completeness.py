"""Whether code could run as it is."""

import pytest

from rpyc_kernel.core.introspection import CodeState
from rpyc_kernel.worker.completeness import judge

COMPLETE = [
    "x = 1",
    "x = 1\n",
    "",
    "   ",
    "# a comment",
    "x = 1  # a comment",
    "def f(x):\n  x*2\n",
    "def f(x): return x",
    "for i in y:\n    pass\nprint(i)",
    "if x:\n    1\nelse:\n    2\n",
    "await f()",
    "x = await f()",
    "async with x:\n    await y\n",
    "for i in y:\n    await i\n",
    "[x async for x in y]",
    "@decorator\ndef f():\n    pass\n",
    "'''a\nb'''",
    "(1 +\n2)",
    "x = (\n    1\n)",
    "a = 1\nb = 2\nc = 3",
    "class C:\n    x = 1\n",
    "import os\n\n\nos",
    "lambda: (yield)",
]

INCOMPLETE = [
    "def f(x):",
    "def f(x):\n  x*2",
    "def f(x):\n  if x:",
    "def f(",
    "for i in range(3):",
    "if x:\n    1\nelse:",
    "@decorator",
    "@decorator\ndef f():",
    "@decorator\nclass C:\n    x = 1",
    "'''a",
    'x = """',
    "(1 +",
    "[1,\n 2,",
    "{'a':",
    "x = 1 + \\",
    "await f(",
    "async def f():",
    "async with x:",
    "async with x:\n    await y",
    "for i in y:\n    await i",
    "try:\n    x\nexcept ValueError:",
    "class C:",
    "while True:",
    "x = 1\ndef f():",
]

INVALID = [
    "x = )",
    "def",
    "1 +",
    "x = 'abc",
    "if",
    "for in x:",
    "def f(x):\nreturn x",
    "  x = 1\n y = 2",
    "x = 1\0",
    "x y",
    "'a' 'b",
    "@",
    "(]",
    "else:",
]


@pytest.mark.parametrize("code", COMPLETE)
def test_code_that_could_run_is_complete(code):
    assert judge(code) == CodeState("complete")


@pytest.mark.parametrize("code", INCOMPLETE)
def test_code_that_goes_on_is_incomplete(code):
    assert judge(code).status == "incomplete"


@pytest.mark.parametrize("code", INVALID)
def test_code_that_cannot_become_right_is_invalid(code):
    assert judge(code).status == "invalid"


@pytest.mark.parametrize(
    ("code", "indent"),
    [
        ("for i in x:", "    "),
        ("def f(x):\n  x*2", "  "),
        ("def f(x):\n  if x:", "      "),
        ("class C:\n\tdef f(self):", "\t\t"),
        ("class C:\n    def f(self):\n        pass", "    "),
        ("class C:\n    def f(self):\n        x = 1", "        "),
        ("def f():\n    return (1,", "    "),
        ("def f():  # comment: here", "    "),
        ("if x:\n\tpass", ""),
        ("(1 +", ""),
        ("@decorator", ""),
    ],
)
def test_incomplete_code_says_how_to_indent_what_follows(code, indent):
    assert judge(code) == CodeState("incomplete", indent)


def test_a_questionable_escape_is_no_warning_here():
    assert judge("x = '\\d'").status == "complete"
    assert judge("x is 1").status == "complete"


@pytest.mark.parametrize("code", ["(" * 10_000, "-" * 100_000 + "1", "[" * 300], ids=["brackets", "deep", "some"])
def test_the_limits_of_the_compiler_are_no_error(code):
    assert judge(code).status in ("complete", "incomplete", "invalid")
