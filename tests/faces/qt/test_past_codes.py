"""What the arrow keys and the search bring back."""

from rpyc_kernel.faces.qt.past_codes import PastCodes


def make(*codes: str) -> PastCodes:
    past = PastCodes()
    past.begin(codes)
    return past


def test_one_walks_back_and_forth_and_comes_to_what_was_typed():
    past = make("a = 1", "b = 2")
    assert past.walk("", -1) == "b = 2"
    assert past.walk("b = 2", -1) == "a = 1"
    assert past.walk("a = 1", -1) is None
    assert past.walk("a = 1", 1) == "b = 2"
    assert past.walk("b = 2", 1) == ""


def test_who_has_typed_something_walks_through_what_begins_like_it():
    past = make("x = 1", "print(x)", "x = 2", "print(x)")
    assert past.walk("x", -1) == "x = 2"
    assert past.walk("x = 2", -1) == "x = 1"
    assert past.walk("x = 1", 1) == "x = 2"
    assert past.walk("x = 2", 1) == "x"


def test_what_was_just_typed_is_the_newest_and_the_same_twice_is_once():
    past = make("a")
    past.add("b")
    past.add("b")
    assert past.walk("", -1) == "b"
    assert past.walk("b", -1) == "a"


def test_a_search_goes_on_to_older_code():
    past = make("load('a')", "x", "load('b')")
    assert past.search("load") == (2, "load('b')")
    assert past.search("load", 2) == (0, "load('a')")
    assert past.search("load", 0) is None
