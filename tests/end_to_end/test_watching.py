"""Expressions are watched and waited for: after each execution, whoever's, and whatever becomes of the worker."""

import json
import os
import signal
import subprocess
import threading

import pytest

from rpyc_kernel import ConnectionLost, KernelClient, NotPermitted, RequestError, WorkerBusy
from rpyc_kernel.core.introspection import Watched
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import COMMAND, PATIENCE_S, ROOT, OpenTerminal
from tests.end_to_end.test_introspection import hold_the_lock
from tests.support.waiting import wait_until


def told(found: list[Watched]) -> list[str]:
    return [each.preview or each.error for each in found]


def test_values_are_told_again_when_an_execution_of_anybody_has_changed_them(kernel, connect) -> None:  # type: ignore[no-untyped-def]
    watching = kernel.watch_expressions(["len(numbers)", "sum(numbers)"])
    assert told(next(watching)) == ["NameError: name 'numbers' is not defined"] * 2
    with connect() as other:
        other.execute("numbers = [3, 4]")
        other.execute("unwatched = 1")
        assert told(next(watching)) == ["2", "7"]
        other.execute("unwatched = 2")
        other.execute("numbers.append(1)")
        assert told(next(watching)) == ["3", "8"]
        watching.close()


def test_a_worker_that_is_killed_or_busy_is_asked_again(kernel: KernelClient) -> None:
    kernel.execute("import re; value = 1")
    watching = kernel.watch_expressions(["value"])
    assert told(next(watching)) == ["1"]
    os.kill(kernel.status()["worker_pid"], signal.SIGKILL)
    assert told(next(watching)) == ["NameError: name 'value' is not defined"]
    kernel.execute("value = 2")
    assert told(next(watching)) == ["2"]
    busy = hold_the_lock(kernel)
    with pytest.raises(WorkerBusy):
        kernel.evaluate(["1"], limit=0.1, timeout=0.5)
    with pytest.raises(TimeoutError, match=r"'value == 3' is not true after 1 s; the worker has not answered"):
        kernel.wait("value == 3", timeout=1)
    busy.interrupt(force="terminate", wait=PATIENCE_S)
    assert told(next(watching)) == ["NameError: name 'value' is not defined"]
    watching.close()


def test_whoever_waits_goes_on_when_it_is_true_and_hears_what_it_is_when_time_is_over(kernel, connect) -> None:  # type: ignore[no-untyped-def]
    with connect() as other:
        submitted = other.submit("import time; time.sleep(0.3); done = [1, 2]")
        assert kernel.wait("done", timeout=PATIENCE_S).preview == "[1, 2]"
        submitted.result(PATIENCE_S)
    with pytest.raises(TimeoutError, match=r"'not done' is not true after 0.2 s; it is False"):
        kernel.wait("not done", timeout=0.2)
    with pytest.raises(TimeoutError, match=r"it raises NameError: name 'nothing' is not defined"):
        kernel.wait("nothing", timeout=0.2)
    kernel.execute("text = '('")
    with pytest.raises(TimeoutError, match=r"it raises SyntaxError: "):
        kernel.wait("eval(text)", timeout=0.2)
    with pytest.raises(RequestError, match=r"'1 \+' is no expression: "):
        kernel.wait("1 +")


def test_who_waits_is_told_when_the_kernel_stops(kernel, connect) -> None:  # type: ignore[no-untyped-def]
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            waiting.wait("False")
        except BaseException as error:  # noqa: BLE001 - told below
            raised.append(error)

    with connect() as waiting:
        thread = threading.Thread(target=wait)
        thread.start()
        kernel.execute("1")
        kernel.shutdown()
        thread.join(PATIENCE_S)
    assert [type(error) for error in raised] == [ConnectionLost]


@pytest.mark.parametrize("role", ["viewer", "asker"])
def test_who_may_not_run_code_may_not_watch_expressions(kernel, connect, role) -> None:  # type: ignore[no-untyped-def]
    with connect(role=role) as looking:
        for ask in (lambda: looking.evaluate(["1"]), lambda: next(looking.watch_expressions(["1"]))):
            with pytest.raises(NotPermitted, match="evaluate expressions"):
                ask()
        with pytest.raises(NotPermitted, match="evaluate expressions"):
            looking.wait("1", timeout=PATIENCE_S)


def test_a_shell_watches_and_waits(kernel: KernelClient) -> None:
    kernel.execute("numbers = [1]")
    command = [*COMMAND, "watch", kernel.name, "len(numbers)", "missing", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        first = [json.loads(watching.stdout.readline()) for _ in range(2)]
        assert [each["preview"] or each["error"] for each in first] == ["1", "NameError: name 'missing' is not defined"]
        kernel.execute("numbers.append(2)")
        assert json.loads(watching.stdout.readline())["preview"] == "2"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE_S) == 130
    never = run_command("wait", kernel.name, "--until", "len(numbers")
    assert (never.returncode, "'len(numbers' is no expression: '(' was never closed" in never.stderr) == (2, True)
    done = run_command("wait", kernel.name, "--until", "len(numbers) == 2")
    assert (done.returncode, done.stdout) == (0, "len(numbers) == 2 = True\n")
    late = run_command("wait", kernel.name, "--until", "len(numbers) == 3", "--timeout", "0.1")
    assert (late.returncode, "is not true after 0.1 s; it is False" in late.stderr) == (124, True)
    kernel.submit("import time; time.sleep(0.3)")
    last = kernel.submit("0")
    idle = run_command("wait", kernel.name)
    assert (idle.returncode, last.done()) == (0, True)
    assert run_command("wait", kernel.name, "1", "--until", "1").returncode == 2


def test_at_a_terminal_who_watches_or_waits_is_told_why_nothing_happens(
    kernel: KernelClient, open_terminal: OpenTerminal
) -> None:
    waiting = open_terminal("wait", kernel.name, "--until", "nothing > 1")
    waiting.wait_for_sentence("'nothing > 1' is not true yet; it raises NameError: name 'nothing' is not defined")
    watching = open_terminal("watch", kernel.name, "1 + 1")
    watching.wait_for("1 \\+ 1 = 2")
    kernel.shutdown()
    watching.wait_for_sentence(f"kernel '{kernel.name}' has stopped")
    assert (waiting.wait_for_end(), watching.wait_for_end()) == (3, 0)


def test_expressions_that_take_their_time_keep_no_other_question_from_its_answer(kernel: KernelClient) -> None:
    kernel.execute("import threading; gate, begun = threading.Event(), []")
    threads = [
        threading.Thread(target=kernel.evaluate, args=(["begun.append(1) or gate.wait(30)"],), kwargs={"limit": 30.0})
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: kernel.eval("len(begun)") == 4, PATIENCE_S, what="as many as there are threads")
        assert kernel.is_complete("1").status == "complete"
    finally:
        kernel.execute("gate.set()")
        for thread in threads:
            thread.join()


def test_a_child_that_an_expression_forks_ends_with_it(kernel: KernelClient) -> None:
    kernel.execute("import os; reading, writing = os.pipe()")
    for forks, status in (("os.fork()", 0), ("os.fork() or 1 / 0", 1)):
        forked, *_ = kernel.evaluate([forks, "os.write(writing, b'x')"], limit=PATIENCE_S)
        ended = kernel.execute(f"os.waitstatus_to_exitcode(os.waitpid({forked.preview}, 0)[1])", timeout=PATIENCE_S)
        assert ended.value == status
        assert kernel.execute("os.read(reading, 9)", timeout=PATIENCE_S).value == b"x"
