"""An observer sees everything and changes nothing."""

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionFailed, NotPermitted
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture

pytestmark = [pytest.mark.shares_kernel, pytest.mark.usefixtures("goes_on")]

FORBIDDEN = {
    "execute": lambda observer: observer.execute("1"),
    "submit": lambda observer: observer.submit("1"),
    "cancel": lambda observer: observer.cancel(1),
    "interrupt": lambda observer: observer.interrupt(1),
    "answer": lambda observer: observer.answer_input("text"),
    "restart": lambda observer: observer.restart(),
    "shutdown": lambda observer: observer.shutdown(),
    "eval": lambda observer: observer.eval("6 * 7"),
    "read live objects": lambda observer: observer.namespace["x"],
    "set a variable": lambda observer: observer.set_variable("x", 1),
    "delete a variable": lambda observer: observer.delete_variable("x"),
    "rename a variable": lambda observer: observer.rename_variable("x", "y"),
    "change the folder": lambda observer: observer.set_cwd("/"),
    "change the environment": lambda observer: observer.set_environment("X", "1"),
    "change the module path": lambda observer: observer.set_module_path([]),
    "debug": lambda observer: observer.open_debugger(),
    "write live objects": lambda observer: observer.namespace.__setitem__("x", 1),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN)
def test_an_observer_is_not_permitted_to_act(kernel, connect, act):
    kernel.execute("x = 6 * 7", timeout=DEADLINE_S)
    observer = connect(name="looker-on", role="observer")
    with pytest.raises(NotPermitted, match="'looker-on' only observes; it cannot"):
        act(observer)
    assert not observer.is_closed


@pytest.mark.own_kernel
def test_an_observer_sees_everything(kernel, connect):
    observer = connect(name="looker-on", role="observer")
    kernel.execute("x = 6 * 7; print('seen')", timeout=DEADLINE_S)
    printed = [event.text for event in observer.events(since=0, follow=False) if event.kind == Kind.STREAM]
    assert "".join(printed) == "seen\n"
    assert observer.status()["state"] == "idle"
    assert [variable.name for variable in observer.variables(timeout=DEADLINE_S)] == ["x"]
    assert [session["role"] for session in observer.sessions() if session["name"] == "looker-on"] == ["observer"]


def test_an_unknown_role_is_refused(kernel):
    with pytest.raises(ConnectionFailed, match="there is no role 'owner'; choose 'user' or 'observer'"):
        rpyc_kernel.connect("demo", role="owner")


@pytest.mark.own_kernel
def test_an_observer_may_not_run_code_by_a_connection_that_only_looks(kernel, connect):
    observer = connect(name="looker-on", role="observer", joins=False)
    with pytest.raises(NotPermitted, match="only observes; it cannot execute code"):
        observer.submit("1")
    assert kernel.status()["last_execution"] == 0


def test_an_observer_under_a_users_session_takes_nothing_from_it_and_gains_nothing(kernel, connect):
    kernel.execute("1", timeout=DEADLINE_S)
    kernel.acknowledge(1)
    with connect(session=kernel.session, name="mallory", role="observer") as observer:
        for act in FORBIDDEN.values():
            with pytest.raises(NotPermitted, match="only observes; it cannot"):
                act(observer)
        observer.acknowledge(5)
        (own,) = [session for session in kernel.sessions() if session["id"] == kernel.session]
        assert (own["name"], own["role"], own["observers"]) == (kernel.client_name, "user", 1)
        assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42
    assert kernel.submit("6 * 7").result(DEADLINE_S) == 42
    with connect(session=kernel.session) as again:
        assert again.last_seen == 1
