"""What is exposed to clients: every command of the table, behind its checks, and nothing else."""

import inspect
import sys
import tempfile
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.core import events
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.core.contract import Force, Lane, Role, Scope
from rpyc_kernel.core.source import Program, read_source
from rpyc_kernel.errors import KernelError, NotPermitted, RequestError, WorkerBusy
from rpyc_kernel.hub import service
from rpyc_kernel.hub.service import HubService
from tests.core.test_commands import ANYTHING, fits, right_values
from tests.hub.kernels import FakeKernel


@pytest.fixture
def kernel(tmp_path):
    with closing(FakeKernel(tmp_path)) as kernel:
        yield kernel


def test_every_command_is_exposed_and_nothing_else_is():
    exposed = {name for name in dir(HubService) if name.startswith("exposed_")}
    assert exposed == {f"exposed_{name}" for name in COMMANDS}
    for name, command in COMMANDS.items():
        method = getattr(HubService, f"exposed_{name}")
        assert (method.__name__, method.__doc__) == (name, command.doc)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not command.by_worker])
def test_a_method_of_the_hub_takes_what_the_table_says(name):
    parameters = list(inspect.signature(getattr(HubService, f"_do_{name}")).parameters.values())[1:]
    assert [each.name for each in parameters] == [each.name for each in COMMANDS[name].parameters]
    assert all(each.default is each.empty for each in parameters)  # it stands in the table


@pytest.mark.parametrize("missing", [True, False])
def test_a_service_that_differs_from_the_table_does_not_come_to_be(missing):
    methods = {name: method for name, method in vars(HubService).items() if name.startswith("_do_")}
    differing = {**methods, "_do_more": None}
    if missing:
        differing = dict(list(methods.items())[1:])
    with pytest.raises(TypeError, match="differ in " + (r"\['hello'\]" if missing else r"\['more'\]")):
        service._offer_commands(type("Differing", (), differing))


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.parameters])
def test_a_wrong_argument_is_refused_and_changes_nothing(kernel, name):
    client, command = kernel.connect(), COMMANDS[name]
    client.exposed_execute("'runs for long'")
    before = kernel.snapshot()
    for parameter, right in zip(command.parameters, right_values(command), strict=True):
        named = dict(zip([each.name for each in command.parameters], right_values(command), strict=True))
        wrong = next(value for label, value in ANYTHING.items() if not fits(parameter, label))
        assert named[parameter.name] == right
        with pytest.raises(RequestError):
            getattr(client, f"exposed_{name}")(**{**named, parameter.name: wrong})
        assert kernel.snapshot() == before
    assert kernel.goes_on()
    assert kernel.payloads()


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(COMMANDS)), st.lists(st.sampled_from(sorted(ANYTHING)), max_size=5)),
        min_size=1,
        max_size=30,
    )
)
def test_any_calls_in_any_order_leave_a_kernel_that_goes_on(calls):
    with tempfile.TemporaryDirectory() as folder, closing(FakeKernel(Path(folder))) as kernel:
        client = kernel.connect()
        for name, labels in calls:
            if name == "shutdown":
                continue
            before = kernel.snapshot()
            try:
                answer = getattr(client, f"exposed_{name}")(*[ANYTHING[label] for label in labels])
            except KernelError:
                assert kernel.snapshot() == before
            else:
                with suppress(AttributeError):
                    answer.cancel()
                if name == "restart":
                    kernel.replace_worker()
        assert kernel.goes_on()
        kernel.payloads()


def test_right_arguments_pass_by_place_and_by_name(kernel):
    client = kernel.connect()
    pairs = (("path", "/a.py"), ("arguments", ("x",)), ("cwd", "/"))
    assert client.exposed_execute("1", False, Lane.MAIN, "call-1", pairs) == 1
    assert client.exposed_execute(code="2", source=pairs) == 2
    queued = [payload for kind, payload in kernel.payloads() if kind == "queued"]
    assert [(each["stop_on_error"], each["call"]) for each in queued] == [(False, "call-1"), (True, None)]
    assert [read_source(each["source"]) for each in queued] == [Program("/a.py", ("x",), "/")] * 2


LOOK = {
    "acknowledge",
    "cwd",
    "find",
    "follow",
    "hello",
    "history",
    "is_complete",
    "last_stack",
    "packages",
    "python",
    "queue",
    "read",
    "stack",
    "status",
}
SEE_VALUES = {
    "cells",
    "children",
    "complete",
    "definition",
    "inspect",
    "module_path",
    "references",
    "signatures",
    "variables",
}
ASK = {"answer_input", "cancel", "execute", "interrupt", "run"}
WORK = ASK | {
    "approve",
    "decline",
    "delete_variable",
    "environment",
    "evaluate",
    "rename_variable",
    "set_cwd",
    "set_environment",
    "set_module_path",
    "set_variable",
}
OWN = {"certify", "invitations", "invite", "kick", "listen", "restart", "revoke", "shutdown"}
MAY = {
    ("viewer", False): LOOK,
    ("viewer", True): LOOK | SEE_VALUES,
    ("asker", False): LOOK | ASK,
    ("asker", True): LOOK | SEE_VALUES | ASK,
    ("editor", False): LOOK | SEE_VALUES | WORK,
    ("editor", True): LOOK | SEE_VALUES | WORK,
    ("owner", False): LOOK | SEE_VALUES | WORK | OWN,
    ("owner", True): LOOK | SEE_VALUES | WORK | OWN,
}
"""Who may what, written down once more. What is not here must be refused."""


@pytest.mark.parametrize(("role", "has_values"), MAY)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_connection_may_what_its_role_and_key_allow_whatever_its_session_may(kernel, name, role, has_values):
    owner, other = kernel.connect("a"), kernel.connect("a", role=role, has_values=has_values)
    owner.exposed_execute("'runs for long'")
    arguments = right_values(COMMANDS[name])
    if name in MAY[role, has_values]:
        with suppress(RequestError):  # nothing asks, waits or was invited here
            getattr(other, f"exposed_{name}")(*arguments)
        return
    before = kernel.snapshot()
    without = " without values" if name in SEE_VALUES else ""
    with pytest.raises(NotPermitted, match=f"^'a' is here as {role}{without}; it cannot {COMMANDS[name].cannot}$"):
        getattr(other, f"exposed_{name}")(*arguments)
    told = [payload["reason"] for kind, payload in kernel.payloads() if kind == "client_refused"]
    assert told == ([] if without else [f"'a' is here as {role}; it cannot {COMMANDS[name].cannot}"])
    state, last, asked = kernel.snapshot()
    assert (state, last - len(told), asked) == before


def test_no_road_of_an_asker_runs_code_without_somebodys_yes(kernel):
    owner, asker = kernel.connect("a"), kernel.connect("g", name="agent", role=Role.ASKER)
    running = owner.exposed_execute("input()")
    kernel.hub.handle(events.InputWanted(running, 1, "? ", False))
    first = len(kernel.worker.asked)
    for command in COMMANDS.values():
        with suppress(KernelError):
            getattr(asker, f"exposed_{command.name}")(*right_values(command))
    for lane in (Lane.MAIN, Lane.SIDE):
        asker.exposed_execute("1", True, lane)
    for call in ("token", "comm:{}"):
        with pytest.raises(NotPermitted, match="hand in the code itself, and not a call"):
            asker.exposed_execute("1", call=call)
    with pytest.raises(NotPermitted, match="and not a file on the kernel's machine"):
        asker.exposed_execute("1", source=(("path", "/a.py"),))
    own = asker.exposed_run("breakpoint()", wait_s=0.0) and kernel.hub.last_execution
    kernel.finish(running)
    asked = {request[1] if request[0] == "request" else request[0] for request in kernel.worker.asked[first:]}
    looking = {name for name in MAY["asker", True] if COMMANDS[name].by_worker}
    assert asked <= looking | {"stack", "ask_stack"}, "a worker was asked to do something"

    owner.exposed_approve(own)
    kernel.hub.handle(events.InputWanted(own, 2, "(Pdb) ", False))
    with pytest.raises(NotPermitted, match="'agent' is here as asker; it can end a prompt, and not answer it"):
        asker.exposed_answer_input("import os")
    with pytest.raises(NotPermitted, match="'agent' is here as asker; it cannot end the worker"):
        asker.exposed_interrupt(own, Force.TERMINATE)
    assert asker.exposed_answer_input(None, own) == own
    assert asker.exposed_interrupt(None) == own


def test_a_viewer_moves_nobodys_place_in_the_events(kernel):
    user, viewer = kernel.connect("a"), kernel.connect("a", role=Role.VIEWER)
    for _ in range(3):
        user.exposed_execute("1")
    user.exposed_acknowledge(1)
    viewer.exposed_acknowledge(3)
    viewer.exposed_read(4, 10, 0.0, Scope.ALL, True)
    assert [dict(client.exposed_hello())["cursor"] for client in (user, viewer)] == [1, 4]


def test_a_long_queue_is_shown_by_its_length_and_its_first_page(kernel):
    client = kernel.connect()
    for number in range(1, 1202):
        assert client.exposed_execute(f"{number}") == number
    status = dict(client.exposed_status())
    assert status["queue_length"] == 1200
    assert [dict(item)["execution"] for item in status["queue"]] == list(range(2, 102))
    shown, after = [], 0
    while page := client.exposed_queue(after, 999):
        shown += [dict(item)["execution"] for item in page]
        after = shown[-1]
    assert shown == list(range(2, 1202))
    assert client.exposed_queue(500, 1)[0][0] == ("execution", 501)
    assert client.exposed_queue(0, 10**9)[-1][0] == ("execution", 1001)
    assert client.exposed_queue(0, -1) == ()


def test_a_staged_call_that_is_never_made_is_dropped_by_the_worker(kernel):
    client = kernel.connect()
    client.exposed_execute("'runs for long'")
    for call in ("call-7", "comm:{}", "sent:{}"):
        client.exposed_cancel(client.exposed_execute("# call", call=call))
    dropped = [request for request in kernel.worker.asked if request[0] == "drop_call"]
    assert dropped == [("drop_call", "call-7")]


def test_a_worker_that_has_started_and_does_not_answer_is_busy(kernel, monkeypatch):
    monkeypatch.setattr(service, "_WORKER_START_S", 0.01)
    monkeypatch.setattr(kernel.hub, "wait_for_worker", lambda timeout_s: False)
    monkeypatch.setattr(kernel.worker, "request", lambda *request: Future())
    with pytest.raises(WorkerBusy, match=r"did not answer within 0\.01 s"):
        kernel.connect().exposed_cwd().result(0)


@pytest.mark.skipif(sys.platform == "darwin", reason="there, 127.0.0.2 is no address of the machine")
def test_of_two_ports_of_one_number_the_one_that_was_asked_for_is_told(kernel):
    owner = kernel.connect()
    with closing(kernel.listeners):
        first = dict(owner.exposed_listen("127.0.0.1"))
        second = dict(owner.exposed_listen("127.0.0.2", first["port"]))
        assert [first["host"], second["host"]] == ["127.0.0.1", "127.0.0.2"]
        assert first["port"] == second["port"]
