"""Code of who asks first, in real processes: it runs with somebody's yes and not without, whatever dies meanwhile."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import rpyc_kernel
from rpyc_kernel import KernelDied, KernelError, NotAsked, NotPermitted, NotRunning, RequestError
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import MAX_HELD_OF_ONE, Kind, Outcome
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import run_command
from tests.end_to_end.test_hub_death import kill, kill_hub, start  # noqa: F401 - a fixture
from tests.end_to_end.test_roles import address_of
from tests.support.waiting import wait_until

HELD = MAX_HELD_OF_ONE
GATE = "import threading; gate = threading.Event(); order = []"


def come_in(invitation, **options):
    return KernelClient(address_of(invitation), timeout=PATIENCE_S, **options)


def fate(kernel, number):
    """What the journal says became of an execution."""
    return [
        (event.kind, event.payload.get("by"))
        for event in kernel.events(follow=False)
        if event.execution == number and event.kind in (Kind.APPROVED, Kind.STARTED, Kind.FINISHED)
    ]


def test_an_invited_agents_code_runs_when_it_is_approved_and_by_no_other_road(kernel):
    invitation = kernel.invite("asker", name="agent", values=True)
    kernel.execute("x = [1]", timeout=PATIENCE_S)
    with pytest.raises(NotPermitted, match="gives the role 'asker', and not 'editor'"):
        come_in(invitation, role="editor")
    with come_in(invitation) as agent, come_in(invitation, session=agent.session) as again:
        asked = agent.submit("x.append(2)")
        assert kernel.execute("len(x)", timeout=PATIENCE_S).value == 1, "what is held blocks nobody"
        (item,) = [each for each in kernel.status()["queue"] if each["is_held"]]
        assert (item["execution"], item["name"], asked.status) == (asked.id, "agent", "held")
        with kernel_as("viewer") as viewer:
            for who in (viewer, agent, again):
                for act in (who.approve, who.decline):
                    with pytest.raises(NotPermitted, match=r"it cannot (approve|decline) anything"):
                        act(asked.id)
        for act in (
            lambda: agent.namespace["x"],
            lambda: agent.push(y=1),
            lambda: agent.pull("x"),
            lambda: agent.run_file("/dev/null"),
            lambda: agent.open_debugger(),
            lambda: agent.set_variable("x", 1),
            lambda: agent.interrupt(force="terminate"),
        ):
            with pytest.raises(NotPermitted):
                act()
        side = agent.submit("x.append(3)", lane="side")
        assert [each.name for each in agent.variables(timeout=PATIENCE_S)] == ["x"]
        assert kernel.eval("x") == [1]
        kernel.approve(asked.id)
        assert asked.result(PATIENCE_S) is None
        kernel.decline(side.id, "not beside me")
        assert "was cancelled: declined by" in str(side.exception(PATIENCE_S))
        assert str(side.exception()).endswith(": not beside me")
    assert kernel.eval("x") == [1, 2]
    assert fate(kernel, asked.id) == [(Kind.APPROVED, kernel.client_name), (Kind.STARTED, None), (Kind.FINISHED, None)]


def kernel_as(role, **options):
    return rpyc_kernel.connect("demo", role=role, name=role, timeout=PATIENCE_S, **options)


def test_who_asks_first_ends_its_own_prompt_and_answers_none(kernel):
    with kernel_as("asker") as agent:
        asked = agent.submit("answer = input('code? ')")
        kernel.approve(asked.id)
        wait_until(lambda: kernel.status()["prompts"], PATIENCE_S, what="the question")
        with pytest.raises(NotPermitted, match="it can end a prompt, and not answer it"):
            agent.answer_input("__import__('os')", asked.id)
        agent.answer_input(None, asked.id)
        assert isinstance(asked.exception(PATIENCE_S), rpyc_kernel.ExecutionError)
        theirs = kernel.submit("input()")
        wait_until(lambda: kernel.status()["prompts"], PATIENCE_S, what="the question")
        for act in (lambda: agent.answer_input(None), lambda: agent.interrupt(), lambda: agent.cancel(theirs.id)):
            with pytest.raises((NotPermitted, rpyc_kernel.RequestError)):
                act()
        assert kernel.status()["running"]["execution"] == theirs.id
        kernel.answer_input("yes")
        assert theirs.result(PATIENCE_S) == "yes"


def test_what_is_held_outlives_its_client_and_two_hubs_and_runs_once(start):  # noqa: F811 - the fixture
    kernel = start()
    kernel.execute(GATE, timeout=PATIENCE_S)
    with kernel_as("asker", session="agent") as agent:
        late = agent.enqueue("order.append('late'); gate.wait(); order.append('on')")
        never = agent.enqueue("order.append('never')")
    kernel.execute("order.append('first')", timeout=PATIENCE_S)
    kill_hub(kernel)
    kernel = start()
    assert [each["execution"] for each in kernel.queue() if each["is_held"]] == [late, never]
    assert kernel.execute("list(order)", timeout=PATIENCE_S).value == ["first"]
    kernel.approve(late)
    behind = kernel.submit("list(order)")
    wait_until(lambda: kernel.status()["running"]["execution"] == late, PATIENCE_S, what="its turn")
    kill_hub(kernel)
    kernel = start()
    kernel.eval("gate.set()")
    assert kernel.execution(behind.id).result(PATIENCE_S) == ["first", "late", "on"]
    assert (kernel.execution(late).status, kernel.execution(never).status) == (Outcome.OK, "held")
    with pytest.raises(NotAsked, match=f"execution {late} does not wait for approval: it is finished"):
        kernel.approve(late)
    with kernel_as("asker", session="agent") as agent:
        agent.cancel(never)  # its own, whichever connection and hub it was handed in by
    assert fate(kernel, never) == [(Kind.FINISHED, "asker")]
    assert kernel.status()["held"] == 0


def test_what_is_held_ends_with_the_worker_at_a_restart_and_at_the_end(kernel):
    with kernel_as("asker") as agent:
        kernel.execute("0", timeout=PATIENCE_S)  # its worker is there
        asked = agent.submit("1")
        kill(kernel.status()["worker_pid"])
        assert isinstance(asked.exception(PATIENCE_S), KernelDied)
        wait_until(lambda: kernel.status()["state"] == "idle", PATIENCE_S, what="the next worker")
        asked = agent.submit("2")
        kernel.restart(timeout=PATIENCE_S)
        assert isinstance(asked.exception(PATIENCE_S), KernelDied)
        assert asked.status == Outcome.LOST
        asked = agent.submit("3")
        kernel.shutdown()
        assert isinstance(asked.exception(PATIENCE_S), KernelError)


def test_as_many_as_may_wait_for_approval_while_others_work_and_each_is_let_go_by_itself(kernel):
    kernel.execute("order = []", timeout=PATIENCE_S)
    with kernel_as("asker") as agent:
        asked = [agent.submit(f"order.append({number})") for number in range(HELD)]
        with pytest.raises(RequestError, match=f"{HELD} executions of yours wait for approval already"):
            agent.submit("order.append('one more')")
        for number in range(20):
            assert kernel.execute(f"{number}", timeout=PATIENCE_S).value == number
        status = kernel.status()
        assert (status["held"], status["state"], len(kernel.queue())) == (HELD, "idle", HELD)
        (session,) = [each for each in status["sessions"] if each["name"] == "asker"]
        assert (session["doing"], session["execution"], session["role"]) == ("held", asked[0].id, "asker")
        for each in reversed(asked):
            kernel.approve(each.id)
        for each in asked:
            each.result(PATIENCE_S)
        assert sorted(kernel.eval("order")) == list(range(HELD))
        # While something runs, what was let go waits in the order in which it was asked for.
        kernel.execute("import threading; gate = threading.Event(); order = []", timeout=PATIENCE_S)
        running = kernel.submit("gate.wait()")
        asked = [agent.submit(f"order.append({number})") for number in range(3)]
        for each in reversed(asked):
            kernel.approve(each.id)
        kernel.submit("gate.set()", lane="side").result(PATIENCE_S)
        assert running.result(PATIENCE_S)
        for each in asked:
            each.result(PATIENCE_S)
        assert kernel.eval("order") == [0, 1, 2]


def test_of_those_who_decide_at_once_one_prevails(kernel):
    with kernel_as("asker") as agent, kernel_as("editor") as editor:
        kernel.execute("ran = []", timeout=PATIENCE_S)
        for number in range(20):
            asked = agent.submit(f"ran.append({number})")
            ready = threading.Barrier(3)

            def decide(act, asked=asked, ready=ready):
                ready.wait(PATIENCE_S)
                try:
                    act(asked.id)
                except (NotAsked, rpyc_kernel.NotQueued, NotRunning):
                    return 0
                return 1

            with ThreadPoolExecutor(3) as pool:
                done = list(pool.map(decide, (kernel.approve, editor.decline, agent.cancel)))
            with contextlib.suppress(rpyc_kernel.ExecutionDropped):
                asked.result(PATIENCE_S)
            # What was approved may still have been cancelled before its turn.
            assert 1 <= sum(done) <= 2
            kinds = [kind for kind, _ in fate(kernel, asked.id)]
            assert kinds.count(Kind.FINISHED) == 1
            assert (Kind.STARTED in kinds) == (kernel.eval(f"{number} in ran"))
            assert Kind.APPROVED in kinds or Kind.STARTED not in kinds


def test_the_command_line_lets_code_go_or_declines_it_and_says_why_it_waits(kernel):
    with kernel_as("asker") as agent:
        yes, no = agent.submit("6 * 7"), agent.submit("print('never')")
        shown = run_command("status", "demo").stdout
        assert f"held       [{yes.id}] of asker (6 * 7)" in shown
        assert run_command("approve", "demo", str(yes.id)).stdout == f"execution {yes.id} is approved\n"
        assert yes.result(PATIENCE_S) == 42
        told = run_command("decline", "demo", str(no.id), "--reason", "no noise")
        assert told.stdout == f"execution {no.id} is declined\n"
        assert str(no.exception(PATIENCE_S)).endswith(": no noise")
        again = run_command("approve", "demo", str(no.id))
        assert (again.returncode, again.stdout) == (2, "")
        assert f"execution {no.id} does not wait for approval: it is finished" in again.stderr
    line = run_command(
        *("invite", "demo", "--role", "asker", "--name", "agent", "--listen", "127.0.0.1", "--host", "127.0.0.1")
    ).stdout.strip()
    waiting = ThreadPoolExecutor(1)
    with waiting:
        ran = waiting.submit(run_command, "exec", line, "print('ran')")
        wait_until(lambda: kernel.status()["held"], PATIENCE_S, what="what is asked for")
        (item,) = kernel.queue()
        kernel.approve(item["execution"])
        ended = ran.result(PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (0, "ran\n")
    assert f"execution {item['execution']} waits until somebody approves it" in ended.stderr


def test_nothing_that_cannot_be_seen_is_held(kernel):
    with kernel_as("asker") as agent:
        for hidden, named in (("\r", "000D"), ("\u202e", "202E"), ("\x1b]0;", "001B"), ("\u200b", "200B")):
            with pytest.raises(rpyc_kernel.RequestError, match=f"has a character that nobody sees .*, U\\+{named}"):
                agent.submit(f"x = 1 #{hidden} evil()")
        assert agent.submit("s = 'Grüße, 世界'\n\tx = 1").status == "held"


def test_who_connects_by_a_command_may_do_so_as_less_than_the_key_gives(kernel, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("ran = 1\n")
    for words, given in (
        (("exec", "demo", "ran = 1"), ""),
        (("run", "--kernel", "demo", str(program)), ""),
        (("console", "demo"), "ran = 1\n"),
    ):
        refused = run_command(words[0], "--role", "viewer", *words[1:], input_text=given)
        assert "it cannot execute code" in refused.stdout + refused.stderr, words
    left = run_command("submit", "demo", "--role", "asker", "ran = 2").stdout.strip()
    with ThreadPoolExecutor(2) as waiting:
        for words, given in ((("run", "--kernel", "demo", str(program)), ""), (("console", "demo"), "ran + 1\n")):
            done = waiting.submit(run_command, words[0], "--role", "asker", *words[1:], input_text=given)
            wait_until(lambda: kernel.status()["held"] == 2, PATIENCE_S, what="what is asked for")
            number = kernel.queue()[-1]["execution"]
            assert kernel.eval("'ran' in globals()") is (words[0] == "console")
            kernel.approve(number)
            assert done.result(PATIENCE_S).returncode == 0
    assert [each["execution"] for each in kernel.queue()] == [int(left)]
    for words, why in (
        (("console", "demo", "--read-only", "--role", "editor"), "--read-only is --role viewer, and not editor"),
        (("run", "--role", "asker", str(program)), "name it by --kernel, or leave --role out"),
        (("exec", "demo", "1", "--role", "king"), "viewer, asker, editor, owner"),
    ):
        told = run_command(*words)
        assert (told.returncode, why in told.stderr) == (2, True), told.stderr
