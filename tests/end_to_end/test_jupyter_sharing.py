"""Several Jupyter clients on one kernel: each with a queue and prompts of its own, and nobody in another's way."""

import os
import signal
from pathlib import Path

import pytest

import rpyc_kernel
from tests.end_to_end.notebooks import (
    PATIENCE_S,
    Notebook,
    Open,
    ask_control,
    install_spec,
    join_kernel,
    take_output,
    take_reply,
    take_until,
    text_of,
)
from tests.support.folders import Folders
from tests.support.processes import HAS_PROC, suspend
from tests.support.waiting import wait_until

_MANY = 5000
"""More messages than ZeroMQ's queues take if nothing is said."""


def test_an_error_aborts_what_its_own_client_has_queued_and_nothing_else(open_notebook: Open) -> None:
    notebook = open_notebook()
    ours, other = notebook.client, notebook.connect()
    for client in (ours, other):  # so that both have joined, and none waits for that
        take_reply(client, client.execute("pass"))
    with join_kernel() as kernel:
        failing = ours.execute("gate.wait(); 1/0")
        # Two clients' messages come by sockets of their own, in whichever order.
        wait_until(lambda: kernel.status()["running"], PATIENCE_S, "the cell to run that is to fail")
        behind, others = ours.execute("x = 1"), other.execute("y = 2")
        wait_until(lambda: len(kernel.status()["queue"]) == 2, PATIENCE_S, "both to be queued behind")
        kernel.eval("gate.set()")
    assert take_reply(ours, failing)["content"]["ename"] == "ZeroDivisionError"
    assert take_reply(ours, behind)["content"]["status"] == "aborted"
    assert take_reply(other, others)["content"]["status"] == "ok"


def test_blank_cells_take_no_number(open_notebook: Open) -> None:
    client = open_notebook().client
    counts = [take_reply(client, client.execute(code))["content"]["execution_count"] for code in ("1", " \n", "", "2")]
    assert counts == [1, 1, 1, 2]


@pytest.mark.parametrize("code", ["exit", "quit()\n"])
def test_who_leaves_is_told_to_close_and_others_go_on(open_notebook: Open, code: str) -> None:
    client = open_notebook().client
    left, behind = client.execute(code), client.execute("6 * 7")
    reply = take_reply(client, left)["content"]
    assert (reply["status"], reply["payload"]) == ("ok", [{"source": "ask_exit", "keepkernel": False}])
    assert take_reply(client, behind)["content"]["status"] == "ok"


_BRIDGE_WITH_LONG_MOMENTS = """
import sys
from rpyc_kernel.faces.jupyter import channels
from rpyc_kernel.faces.jupyter.__main__ import main
channels._EARLY_S = 3600.0
sys.exit(main(sys.argv[1:]))
"""


def _outlast_first_moments(notebook: Notebook) -> None:
    """Have so much published that the bridge no longer shows newcomers all there was since its start."""
    for _ in range(500):
        last = notebook.client.session.msg("connect_request", {})
        notebook.client.shell_channel.send(last)
    take_until(notebook.client, "status", last["header"]["msg_id"], execution_state="idle")


def test_one_who_comes_in_the_first_moments_has_missed_nothing(open_notebook: Open, tmp_path: Path) -> None:
    install_spec(tmp_path / "data", "long-moments", program=_BRIDGE_WITH_LONG_MOMENTS)
    notebook = open_notebook(spec="long-moments")
    request = notebook.client.execute("print('first')")
    take_output(notebook.client, request)
    assert text_of(take_output(notebook.connect(), request)) == "first\n"


def test_a_late_joiner_sees_what_the_running_cell_has_shown(open_notebook: Open) -> None:
    notebook = open_notebook()
    _outlast_first_moments(notebook)
    running = notebook.client.execute("print('early')\nname = input()\nprint('late', name)", allow_stdin=True)
    take_until(notebook.client, "stream", running)
    joined = notebook.connect()
    seen = take_until(joined, "stream", running)
    assert text_of(seen) == "early\n"
    assert [message["msg_type"] for message in seen] == ["status", "execute_input", "clear_output", "stream"]
    notebook.client.get_stdin_msg(timeout=PATIENCE_S)
    notebook.client.input("Ann")
    assert text_of(take_output(joined, running)) == "late Ann\n"


def test_those_who_were_there_are_not_told_again_when_another_joins(open_notebook: Open) -> None:
    notebook = open_notebook()
    _outlast_first_moments(notebook)
    running = notebook.client.execute("print('once')\ninput()", allow_stdin=True)
    take_until(notebook.client, "stream", running)
    take_until(notebook.connect(), "stream", running)
    notebook.client.get_stdin_msg(timeout=PATIENCE_S)
    notebook.client.input("")
    assert text_of(take_output(notebook.client, running)) == ""


def test_an_answer_goes_to_the_code_that_asked(open_notebook: Open) -> None:
    client = open_notebook().client
    request = client.execute("import getpass; print(input('name? '), getpass.getpass('word? '))", allow_stdin=True)
    asked = client.get_stdin_msg(timeout=PATIENCE_S)
    assert asked["content"] == {"prompt": "name? ", "password": False}
    assert asked["parent_header"]["msg_id"] == request
    client.input("Ann")
    assert client.get_stdin_msg(timeout=PATIENCE_S)["content"] == {"prompt": "word? ", "password": True}
    client.input("secret")
    assert text_of(take_output(client, request)) == "Ann secret\n"


def test_code_that_asks_a_client_without_prompts_fares_as_in_ipykernel(open_notebook: Open) -> None:
    client = open_notebook().client
    for code, asked in (("input()", "raw_input"), ("__import__('getpass').getpass()", "getpass")):
        content = take_reply(client, client.execute(code, allow_stdin=False))["content"]
        assert content["ename"] == "StdinNotImplementedError"
        assert content["evalue"] == f"{asked} was called, but this frontend does not support input requests."
    for code in ("breakpoint()", "import pdb; pdb.set_trace()"):
        content = take_reply(client, client.execute(code, allow_stdin=False))["content"]
        assert content["ename"] == "StdinNotImplementedError"
    request = client.execute("import sys; print(repr(sys.stdin.readline()), list(sys.stdin))", allow_stdin=False)
    assert text_of(take_output(client, request)) == "'' []\n"
    # As nbclient tells ipykernel: no file of this machine's user is named.
    request = client.execute("print(get_ipython().history_manager.hist_file)")
    assert text_of(take_output(client, request)) == ":memory:\n"


def test_a_client_can_answer_with_the_end_of_input(open_notebook: Open) -> None:
    client = open_notebook().client
    request = client.execute("input()", allow_stdin=True)
    client.get_stdin_msg(timeout=PATIENCE_S)
    client.input("\x04")
    assert take_reply(client, request)["content"]["ename"] == "EOFError"


def test_when_a_client_vanishes_inside_input_the_next_one_is_asked(open_notebook: Open) -> None:
    notebook = open_notebook()
    vanishing = notebook.connect()
    vanishing.execute("print(input('who? '))", allow_stdin=True)
    vanishing.get_stdin_msg(timeout=PATIENCE_S)
    waiting = notebook.client.execute("'mine'", allow_stdin=True)
    notebook.leave(vanishing)
    asked = notebook.client.get_stdin_msg(timeout=PATIENCE_S)
    assert asked["content"]["prompt"] == "who? "
    assert asked["parent_header"]["msg_id"] == waiting
    notebook.client.input("somebody else")
    assert take_reply(notebook.client, waiting)["content"]["status"] == "ok"


def test_an_interrupt_ends_what_a_vanished_client_left_waiting(open_notebook: Open) -> None:
    notebook = open_notebook()
    vanishing = notebook.connect()
    vanishing.execute("input()", allow_stdin=True)
    vanishing.get_stdin_msg(timeout=PATIENCE_S)
    notebook.leave(vanishing)
    waiting = notebook.client.execute("'mine'", allow_stdin=False)
    assert ask_control(notebook.client, "interrupt_request")["content"]["status"] == "ok"
    assert take_reply(notebook.client, waiting)["content"]["status"] == "ok"


def test_a_subscriber_that_does_not_read_loses_nothing(open_notebook: Open) -> None:
    notebook = open_notebook()
    slow = notebook.connect()
    code = f"for number in range({_MANY}): display({{'text/plain': str(number)}}, raw=True)"
    request = notebook.client.execute(code)
    assert take_reply(notebook.client, request)["content"]["status"] == "ok"
    shown = [message["content"]["data"] for message in take_output(slow, request) if "data" in message["content"]]
    assert shown == [{"text/plain": str(number)} for number in range(_MANY)]


def test_two_bridges_on_one_kernel_show_each_others_code(open_notebook: Open, tmp_path: Path) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        install_spec(tmp_path / "data", "joined", attach="shared")
        one, two = open_notebook(spec="joined"), open_notebook(spec="joined")
        one.client.execute("x = 'from one'; print(x)")
        shown = take_until(two.client, "stream")
        assert shown[-1]["content"]["text"] == "from one\n"
        assert shown[-1]["parent_header"]["session"] != two.client.session.session
        answer = take_reply(two.client, two.client.execute("x"))
        assert answer["content"]["status"] == "ok"
        assert kernel.execute("x").value == "from one"
        kernel.shutdown(timeout=PATIENCE_S)


def test_code_from_elsewhere_appears_with_a_parent_of_its_own(open_notebook: Open, tmp_path: Path) -> None:
    with rpyc_kernel.start("shared", client_name="Ann", timeout=PATIENCE_S) as kernel:
        install_spec(tmp_path / "data", "joined", attach="shared")
        client = open_notebook(spec="joined").client
        kernel.execute("print('hello')")
        parent = take_until(client, "execute_input")[-1]["parent_header"]
        assert parent["username"] == "Ann"
        assert text_of(take_output(client, parent["msg_id"])) == "hello\n"
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_joined_kernel_goes_on_when_the_notebook_is_shut_down_and_so_does_its_code(
    open_notebook: Open, tmp_path: Path
) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        install_spec(tmp_path / "data", "joined", attach="shared")
        notebook = open_notebook(spec="joined")
        run = kernel.submit("input()")
        take_until(notebook.client, "execute_input")
        notebook.manager.shutdown_kernel()
        kernel.answer_input("still there")
        assert run.result(PATIENCE_S) == "still there"
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_kernel_of_its_own_ends_with_the_notebook(open_notebook: Open) -> None:
    notebook = open_notebook()
    [found] = rpyc_kernel.kernels()
    notebook.manager.shutdown_kernel()
    assert found.name.startswith("jupyter-")
    assert (found.host, found.port) == ("", 0)  # a port would be one that the next bridge was promised
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernel")


def test_a_kernel_of_its_own_ends_when_the_bridge_is_killed(open_notebook: Open) -> None:
    notebook = open_notebook()
    notebook.manager.shutdown_kernel(now=True)
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernel")


def test_a_restart_gives_a_new_namespace(open_notebook: Open) -> None:
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute("x = 1"))
    notebook.manager.restart_kernel()
    client = notebook.connect()  # the one before may send to a bridge of whose end it has not heard
    assert take_reply(client, client.execute("x"))["content"]["ename"] == "NameError"


@pytest.mark.skipif(not HAS_PROC, reason="who waits at a unix socket is read from /proc")
def test_a_restart_gives_a_new_namespace_when_the_hub_hears_of_the_next_bridge_first(
    open_notebook: Open, folders: Folders
) -> None:
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute("x = 1"))
    [found] = rpyc_kernel.kernels()
    doors = str(folders.runtime / found.name / "hub.sock")
    suspend(found.hub_pid)
    before = Path("/proc/net/unix").read_text().count(doors)
    notebook.manager.restart_kernel(now=True)
    wait_until(lambda: Path("/proc/net/unix").read_text().count(doors) > before, PATIENCE_S, "the next bridge")
    os.kill(found.hub_pid, signal.SIGCONT)
    client = notebook.connect()
    assert take_reply(client, client.execute("x"))["content"]["ename"] == "NameError"


def test_a_kernel_that_others_have_joined_goes_on_when_the_bridge_is_started_anew(open_notebook: Open) -> None:
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute("x = 1"))
    with join_kernel() as other:
        notebook.manager.restart_kernel(now=True)
        client = notebook.connect()
        assert text_of(take_output(client, client.execute("print(x)"))) == "1\n"
        assert other.status()["generation"] == 1


def test_a_restart_of_a_joined_kernel_is_the_hubs_and_everybody_is_told(open_notebook: Open, tmp_path: Path) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        install_spec(tmp_path / "data", "joined", attach="shared")
        one, two = open_notebook(spec="joined"), open_notebook(spec="joined")
        take_reply(two.client, two.client.execute("x = 1"))
        before = kernel.status()
        one.client.session.username = "Ann"
        ask_control(one.client, "shutdown_request", {"restart": True})
        one.manager.restart_kernel()
        client = one.connect()
        take_reply(client, client.execute("1"))
        told = take_output(two.client, two.client.execute("x"))
        assert text_of(told, "stderr").startswith("[Ann has restarted the kernel")
        after = kernel.status()
        assert after["hub_pid"] == before["hub_pid"]
        assert after["generation"] == before["generation"] + 1
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_kernel_that_dies_answers_everybody_who_waits_and_says_why(open_notebook: Open) -> None:
    client = open_notebook().client
    requests = [client.execute("import time; print('on'); time.sleep(60)"), *(client.execute("1") for _ in range(9))]
    take_until(client, "stream", requests[0])
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, joins=False, timeout=PATIENCE_S) as looking:
        wait_until(lambda: len(looking.status()["queue"]) == 9, PATIENCE_S, "the others to be queued behind")
        os.kill(looking.status()["worker_pid"], signal.SIGKILL)
    answers = [take_reply(client, request)["content"] for request in requests]
    assert {answer["ename"] for answer in answers} == {"KernelDied"}
    assert "SIGKILL" in answers[0]["evalue"]
    assert take_reply(client, client.execute("1"))["content"]["status"] == "ok"
