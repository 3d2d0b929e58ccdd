"""Which session a console continues."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from rpyc_kernel.faces.frontend import session_slot
from rpyc_kernel.faces.frontend.session_slot import is_session_slot, take_session_slot

KEY = "0011223344556677"


@pytest.mark.parametrize(("looking_as", "start"), [("a1b2", ""), (f"{KEY}:a1b2", f"{KEY}:")], ids=["own", "invited"])
def test_a_console_takes_the_first_of_its_users_sessions_that_nobody_has(monkeypatch, looking_as, start):
    asked = []

    def connect(target, *, session=None, joins=True, **more):
        if not joins:
            taken = [{"id": f"{start}console-ann-1", "connections": 1}, {"id": "console-ann-2", "connections": 0}]
            return nullcontext(SimpleNamespace(session=looking_as, sessions=lambda: taken))
        asked.append(session)
        return SimpleNamespace(session=session, came_first=True)

    monkeypatch.setattr(session_slot.launch, "connect", connect)
    assert take_session_slot("demo", name="ann").session == f"{start}console-ann-2"
    assert asked == [f"{start}console-ann-2"]
    assert is_session_slot(asked[0])


@pytest.mark.parametrize("session", [None, "", "a1b2", f"{KEY}:a1b2", "rpyc-1-console-"])
def test_other_sessions_are_no_consoles(session):
    assert not is_session_slot(session)
