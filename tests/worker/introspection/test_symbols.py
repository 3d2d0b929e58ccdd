"""Characters by their names behind a backslash."""

import pytest

from rpyc_kernel.worker.introspection import symbols
from rpyc_kernel.worker.introspection.completion import Completer

pytest.importorskip("IPython")


@pytest.fixture
def completer(namespace):
    return Completer(namespace, None, "ipython")


@pytest.mark.parametrize(
    ("code", "start", "texts"),
    [
        ("\\alpha", 0, ("α",)),
        ("x = 1\ny = \\beta", 10, ("β",)),
        ("print('\\gamma", 7, ("γ",)),
        ("x\\^a", 1, ("ᵃ",)),
        ("\\alp", 0, ("\\alpha",)),
        ("\\α", 0, ("\\alpha",)),
        ("\\GREEK SMALL LETTER ALPHA", 0, ("α",)),
        ("\\SNOWM", 0, ("\\SNOWMAN", "\\SNOWMAN WITHOUT SNOW")),
        ("\\☃", 0, ("\\SNOWMAN",)),
    ],
)
def test_a_character_is_completed_from_its_name_and_back(completer, code, start, texts):
    found = completer.complete(code, len(code))
    assert (found.start, found.end, found.matches) == (start, len(code), texts)


@pytest.mark.parametrize("code", ["\\", "x = 1 \\", "\\nothing_like_this", "\\ZZ", "\\alpha + 1"])
def test_what_is_no_such_name_is_completed_as_ever(code):
    assert symbols.complete(code, len(code)) is None


def test_other_engines_know_no_such_names(namespace):
    assert Completer(namespace, None, "plain").complete("\\alpha", 6).matches == ()
