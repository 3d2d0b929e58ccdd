"""A viewer sees everything and changes nothing."""

import os

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionFailed, NotPermitted
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture

pytestmark = [pytest.mark.shares_kernel, pytest.mark.usefixtures("goes_on")]

FORBIDDEN = {
    "execute": lambda viewer: viewer.execute("1"),
    "submit": lambda viewer: viewer.submit("1"),
    "cancel": lambda viewer: viewer.cancel(1),
    "interrupt": lambda viewer: viewer.interrupt(1),
    "answer": lambda viewer: viewer.answer_input("text"),
    "restart": lambda viewer: viewer.restart(),
    "shutdown": lambda viewer: viewer.shutdown(),
    "eval": lambda viewer: viewer.eval("6 * 7"),
    "read live objects": lambda viewer: viewer.namespace["x"],
    "set a variable": lambda viewer: viewer.set_variable("x", 1),
    "delete a variable": lambda viewer: viewer.delete_variable("x"),
    "rename a variable": lambda viewer: viewer.rename_variable("x", "y"),
    "change the folder": lambda viewer: viewer.set_cwd("/"),
    "change the environment": lambda viewer: viewer.set_environment("X", "1"),
    "change the module path": lambda viewer: viewer.set_module_path([]),
    "debug": lambda viewer: viewer.open_debugger(),
    "write live objects": lambda viewer: viewer.namespace.__setitem__("x", 1),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN)
def test_a_viewer_is_not_permitted_to_act(kernel, connect, act):
    kernel.execute("x = 6 * 7", timeout=DEADLINE_S)
    viewer = connect(name="looker-on", role="viewer")
    with pytest.raises(NotPermitted, match="'looker-on' is here as viewer; it cannot"):
        act(viewer)
    assert not viewer.is_closed


@pytest.mark.own_kernel
def test_a_viewer_sees_everything(kernel, connect):
    viewer = connect(name="looker-on", role="viewer")
    kernel.execute("x = 6 * 7; print('seen')", timeout=DEADLINE_S)
    printed = [event.text for event in viewer.events(since=0, follow=False) if event.kind == Kind.STREAM]
    assert "".join(printed) == "seen\n"
    assert (viewer.status()["state"], viewer.status()["runtime_folder"]) == ("idle", None)
    assert "objects.sock" in os.listdir(kernel.status()["runtime_folder"])
    assert [variable.name for variable in viewer.variables(timeout=DEADLINE_S)] == ["x"]
    assert [session["role"] for session in viewer.sessions() if session["name"] == "looker-on"] == ["viewer"]


def test_an_unknown_role_is_refused(kernel):
    with pytest.raises(ConnectionFailed, match="no role 'king'; choose 'viewer', 'asker', 'editor' or 'owner'"):
        rpyc_kernel.connect("demo", role="king")


@pytest.mark.own_kernel
def test_a_viewer_may_not_run_code_by_a_connection_that_only_looks(kernel, connect):
    viewer = connect(name="looker-on", role="viewer", joins=False)
    with pytest.raises(NotPermitted, match="is here as viewer; it cannot execute code"):
        viewer.submit("1")
    assert kernel.status()["last_execution"] == 0


def test_a_viewer_under_a_users_session_takes_nothing_from_it_and_gains_nothing(kernel, connect):
    kernel.execute("1", timeout=DEADLINE_S)
    kernel.acknowledge(1)
    with connect(session=kernel.session, name="mallory", role="viewer") as viewer:
        for act in FORBIDDEN.values():
            with pytest.raises(NotPermitted, match="is here as viewer; it cannot"):
                act(viewer)
        viewer.acknowledge(5)
        (own,) = [session for session in kernel.sessions() if session["id"] == kernel.session]
        assert (own["name"], own["role"], own["viewers"]) == (kernel.client_name, "owner", 1)
        assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42
    assert kernel.submit("6 * 7").result(DEADLINE_S) == 42
    with connect(session=kernel.session) as again:
        assert again.last_seen == 1
