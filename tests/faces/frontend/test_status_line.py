"""The line below the prompt has as many names as there is room for."""

import pytest
from prompt_toolkit.utils import get_cwidth

from rpyc_kernel.faces.frontend.state import TalkState
from rpyc_kernel.faces.frontend.status_line import StatusLine
from tests.faces.frontend.events import make_item, make_session, make_status


@pytest.fixture
def bar() -> StatusLine:
    return StatusLine(TalkState("me"))


def test_it_says_how_many_are_here_and_who(bar: StatusLine) -> None:
    assert bar.text(80) == ""
    bar.take(make_status())
    assert bar.text(80) == "demo | generation 1 | idle | 2 here: me, alice"


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (80, "demo on gpu | generation 1 | idle | 2 here: me, alice"),
        (44, "demo on gpu | generation 1 | idle | 2 here"),
        (40, "demo | generation 1 | idle | 2 here"),
    ],
)
def test_it_says_where_the_kernel_is_if_there_is_room(width: int, text: str) -> None:
    bar = StatusLine(TalkState("me"), host="gpu")
    bar.take(make_status())
    assert bar.text(width) == text


def test_it_tells_what_waits_for_approval_from_what_waits_for_its_turn(bar: StatusLine) -> None:
    bar.take(make_status(queue=[{**make_item(3), "is_held": True}, make_item(4)], held=1))
    assert bar.text(80) == "demo | generation 1 | idle | 1 queued | 1 to approve | 2 here: me, alice"


def test_who_has_gone_is_not_here(bar: StatusLine) -> None:
    bar.take(make_status(sessions=[make_session("me"), make_session("bob", connections=0)]))
    assert bar.text(80).endswith("| 1 here: me")


@pytest.mark.parametrize(
    ("width", "ending"),
    [
        (86, "7 here: anna-0, anna-1, anna-2, anna-3, anna-4 and 2 more"),
        (62, "7 here: anna-0, anna-1 and 5 more"),
        (45, "7 here"),
        (5, "7 here"),
    ],
)
def test_names_that_have_no_room_are_counted(bar: StatusLine, width: int, ending: str) -> None:
    bar.take(make_status(sessions=[make_session(f"anna-{number}") for number in range(7)]))
    text = bar.text(width)
    assert text == f"demo | generation 1 | idle | {ending}"
    assert get_cwidth(text) <= max(width, len("demo | generation 1 | idle | 7 here"))


def test_wide_names_take_their_room(bar: StatusLine) -> None:
    bar.take(make_status(sessions=[make_session("漢字" * 10), make_session("me")]))
    assert bar.text(70, get_cwidth).endswith("| 2 here")
    assert bar.text(110).endswith("漢字, me")
