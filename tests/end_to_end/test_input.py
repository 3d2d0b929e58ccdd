"""User code that reads a line asks the session that submitted it, and any client can answer."""

import re
from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import Event, Execution, ExecutionError, ExecutionInterrupted, KernelClient, NotAsked
from rpyc_kernel.core.contract import Kind
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60

WAYS_TO_ASK = {
    "input": ("input('who? ')", "who? ", False, "Ada"),
    "input without a prompt": ("input()", "", False, "Ada"),
    "sys.stdin.readline": ("__import__('sys').stdin.readline()", "", False, "Ada\n"),
    "iterating over sys.stdin": ("next(__import__('sys').stdin)", "", False, "Ada\n"),
    "getpass": ("__import__('getpass').getpass('secret: ')", "secret: ", True, "Ada"),
    "getpass without a prompt": ("__import__('getpass').getpass()", "Password: ", True, "Ada"),
}


def wait_for_prompt(execution: Execution) -> Event:
    """Follow an execution until it asks."""
    for event in execution.events(timeout=DEADLINE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            return event
    raise AssertionError(f"it ended without asking: {execution}")


def wait_for_prompts(kernel: KernelClient, count: int) -> list[dict]:
    wait_until(lambda: len(kernel.status()["prompts"]) == count, DEADLINE_S, f"{count} prompts")
    return kernel.status()["prompts"]


def assert_goes_on(kernel: KernelClient) -> None:
    assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42
    assert kernel.status()["prompts"] == []


@pytest.mark.parametrize(("expression", "prompt", "password", "value"), WAYS_TO_ASK.values(), ids=WAYS_TO_ASK)
def test_every_way_to_ask_goes_to_the_session_that_submitted(kernel, connect, expression, prompt, password, value):
    other = connect(name="other")
    execution = kernel.submit(expression)
    asked = wait_for_prompt(execution)
    assert (asked.prompt, asked.password, asked.session) == (prompt, password, kernel.session)
    assert kernel.status()["prompts"] == [{"execution": execution.id, "session": kernel.session}]
    assert other.status()["prompts"] == kernel.status()["prompts"]
    kernel.answer_input("Ada")
    assert execution.result(DEADLINE_S) == value
    assert_goes_on(kernel)


@pytest.mark.own_kernel
def test_another_client_can_answer(kernel, connect):
    other = connect(name="other")
    execution = kernel.submit("input('who? ')")
    wait_for_prompt(execution)
    other.answer_input("Bob", execution.id)
    assert execution.result(DEADLINE_S) == "Bob"
    answered = [event for event in kernel.events(follow=False) if event.kind == Kind.INPUT_ANSWERED]
    assert [event.by for event in answered] == ["other"]


def test_an_answer_is_never_recorded(kernel):
    execution = kernel.submit("import getpass; len(getpass.getpass())")
    wait_for_prompt(execution)
    kernel.answer_input("correct horse battery staple")
    assert execution.result(DEADLINE_S) == 28
    assert not any("battery" in str(event.as_dict()) for event in kernel.events(follow=False))


ANSWERS = ["", " spaces ", "größe 漢字 🎉", "two\nlines", "x" * 1_000_000, "quote ' \" \\ \x00"]


@pytest.mark.parametrize("answer", ANSWERS, ids=["empty", "spaces", "unicode", "two lines", "a megabyte", "odd"])
def test_an_answer_arrives_as_it_was_given(kernel, answer):
    kernel.namespace["expected"] = answer
    execution = kernel.submit("input() == expected")
    wait_for_prompt(execution)
    kernel.answer_input(answer)
    assert execution.result(DEADLINE_S) is True


def test_end_of_file_raises_as_in_python(kernel):
    execution = kernel.submit("input('more? ')")
    wait_for_prompt(execution)
    kernel.answer_input(None)
    with pytest.raises(ExecutionError) as caught:
        execution.result(DEADLINE_S)
    assert caught.value.ename == "EOFError"
    assert_goes_on(kernel)


def test_end_of_file_ends_standard_input(kernel):
    execution = kernel.submit("import sys; [line for line in sys.stdin], sys.stdin.readline()")
    answers = iter(["one", "two", None, None])
    for event in execution.events(timeout=DEADLINE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            kernel.answer_input(next(answers), execution.id)
    assert execution.outputs[-1].data["text/plain"] == r"(['one\n', 'two\n'], '')"


def test_reading_everything_asks_until_the_end_of_file(kernel):
    execution = kernel.submit("import sys; sys.stdin.read()")
    answers = iter(["one", "two", None])
    for event in execution.events(timeout=DEADLINE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            kernel.answer_input(next(answers), execution.id)
    assert execution.value == "one\ntwo\n"


# Clients that go away


def test_a_client_that_vanishes_inside_input_leaves_the_prompt_to_others(kernel, start_client):
    client = start_client("ask", "demo")
    number = int(client.hear("asks"))
    client.kill()
    wait_for_prompts(kernel, 1)
    kernel.answer_input("an answer", number)
    wait_until(lambda: kernel.status()["state"] == "idle", DEADLINE_S)
    assert kernel.namespace["answer"] == "an answer"
    assert_goes_on(kernel)


def test_what_a_vanished_client_asks_can_be_interrupted(kernel, start_client):
    client = start_client("ask", "demo")
    number = int(client.hear("asks"))
    client.kill()
    behind = kernel.submit("'it was its turn'")
    assert kernel.interrupt(number, wait=DEADLINE_S)
    assert behind.result(DEADLINE_S) == "it was its turn"
    with pytest.raises(NotAsked):
        kernel.answer_input("too late", number)
    assert_goes_on(kernel)


def test_what_a_vanished_client_queued_behind_its_prompt_can_be_cancelled(kernel, start_client):
    client = start_client("ask", "demo", "never = True")
    number = int(client.hear("asks"))
    client.kill()
    queued = [item["execution"] for item in kernel.status()["queue"]]
    assert queued == [number + 1]
    kernel.cancel(number + 1)
    kernel.answer_input("go on", number)
    wait_until(lambda: kernel.status()["state"] == "idle", DEADLINE_S)
    assert "never" not in kernel.namespace
    assert_goes_on(kernel)


def test_coming_back_as_the_same_session_one_can_still_answer(kernel, connect):
    client = connect(name="ada")
    session = client.session
    execution = client.submit("answer = input('who? ')")
    wait_for_prompt(execution)
    number = execution.id
    client.close()
    again = connect(session=session, name="ada")
    assert again.session == session
    assert again.status()["prompts"] == [{"execution": number, "session": session}]
    again.answer_input("Ada")
    wait_until(lambda: kernel.status()["state"] == "idle", DEADLINE_S)
    assert kernel.namespace["answer"] == "Ada"


def test_without_a_number_ones_own_prompt_is_answered_first(kernel, connect):
    other = connect(name="other")
    others = other.submit("input('other: ')", lane="side")
    wait_for_prompt(others)
    own = kernel.submit("input('own: ')")
    wait_for_prompt(own)
    kernel.answer_input("mine")
    assert own.result(DEADLINE_S) == "mine"
    kernel.answer_input("yours")
    assert others.result(DEADLINE_S) == "yours"


# Several prompts


def test_two_prompts_at_once_are_answered_by_number(kernel):
    side = kernel.submit("input('side: ')", lane="side")
    wait_for_prompt(side)
    main = kernel.submit("input('main: ')")
    wait_for_prompt(main)
    assert {item["execution"] for item in kernel.status()["prompts"]} == {side.id, main.id}
    kernel.answer_input("for main", main.id)
    assert main.result(DEADLINE_S) == "for main"
    assert not side.done()
    kernel.answer_input("for side", side.id)
    assert side.result(DEADLINE_S) == "for side"
    assert_goes_on(kernel)


def test_a_second_answer_to_the_same_prompt_is_refused(kernel, connect):
    other = connect(name="other")
    execution = kernel.submit("first = input(); second = input(); (first, second)")
    wait_for_prompt(execution)
    kernel.answer_input("one", execution.id)
    wait_for_prompts(kernel, 1)
    other.answer_input("two", execution.id)
    assert execution.result(DEADLINE_S) == ("one", "two")
    with pytest.raises(NotAsked, match=re.escape(f"execution {execution.id} does not wait for input")):
        kernel.answer_input("three", execution.id)
    with pytest.raises(NotAsked, match="nothing waits for input"):
        kernel.answer_input("three")


# Threads and tasks


def test_a_thread_can_ask(kernel):
    code = """
import threading
answers = []
thread = threading.Thread(target=lambda: answers.append(input("thread? ")))
thread.start()
thread.join()
answers
"""
    execution = kernel.submit(code)
    asked = wait_for_prompt(execution)
    assert (asked.prompt, asked.session) == ("thread? ", kernel.session)
    kernel.answer_input("from outside", execution.id)
    execution.result(DEADLINE_S)
    assert list(kernel.namespace["answers"]) == ["from outside"]
    assert_goes_on(kernel)


def test_a_thread_that_asked_before_its_execution_finished_can_still_be_answered(kernel):
    execution = kernel.submit(
        """
import threading
answers = []
thread = threading.Thread(target=lambda: answers.append(input("thread? ")))
thread.start()
go = threading.Event()
go.wait()
"""
    )
    wait_for_prompt(execution)
    kernel.eval("go").set()
    execution.result(DEADLINE_S)
    kernel.answer_input("later", execution.id)
    kernel.execute("thread.join()", timeout=DEADLINE_S)
    assert list(kernel.namespace["answers"]) == ["later"]
    assert_goes_on(kernel)


def test_a_thread_that_asks_after_its_execution_finished_can_be_answered(kernel):
    execution = kernel.execute(
        """
import threading
answers = []
go = threading.Event()
thread = threading.Thread(target=lambda: (go.wait(), answers.append(input("thread? "))))
thread.start()
"""
    )
    kernel.eval("go").set()
    prompts = wait_for_prompts(kernel, 1)
    assert prompts[0]["execution"] == execution.id
    kernel.answer_input("later", execution.id)
    kernel.execute("thread.join()", timeout=DEADLINE_S)
    assert list(kernel.namespace["answers"]) == ["later"]
    assert_goes_on(kernel)


def test_threads_that_ask_at_the_same_time_each_get_one_answer(kernel):
    execution = kernel.submit(
        """
import threading
answers = []
threads = [threading.Thread(target=lambda: answers.append(input())) for _ in range(5)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""
    )
    wait_for_prompts(kernel, 5)
    for number in range(5):
        kernel.answer_input(str(number), execution.id)
    execution.result(DEADLINE_S)
    assert sorted(kernel.namespace["answers"]) == list("01234")
    assert_goes_on(kernel)


# Interrupts


@pytest.fixture
def asking(kernel: KernelClient) -> Iterator[Execution]:
    execution = kernel.submit("input('who? ')")
    wait_for_prompt(execution)
    yield execution
    assert execution.done()
    assert_goes_on(kernel)


@pytest.mark.parametrize("force", ["signal", "exception"])
def test_an_interrupt_ends_the_wait_for_input(kernel, asking, force):
    assert kernel.interrupt(asking.id, force=force, wait=DEADLINE_S)
    with pytest.raises(ExecutionInterrupted):
        asking.result(DEADLINE_S)
    with pytest.raises(NotAsked):
        kernel.answer_input("too late", asking.id)


def test_an_interrupt_ends_the_wait_for_input_in_a_side_lane(kernel):
    execution = kernel.submit("input('who? ')", lane="side")
    wait_for_prompt(execution)
    assert kernel.interrupt(execution.id, wait=DEADLINE_S)
    with pytest.raises(ExecutionInterrupted):
        execution.result(DEADLINE_S)
    assert_goes_on(kernel)


def test_code_that_asks_again_after_an_interrupt_gets_the_answer_to_its_new_question(kernel):
    execution = kernel.submit(
        """
try:
    answer = input("first? ")
except KeyboardInterrupt:
    answer = input("second? ")
answer
"""
    )
    wait_for_prompt(execution)
    kernel.interrupt(execution.id, wait=0)
    prompts = [event.prompt for event in asked_until(execution, "second? ")]
    assert prompts == ["first? ", "second? "]
    kernel.answer_input("to the second", execution.id)
    assert execution.result(DEADLINE_S) == "to the second"
    assert_goes_on(kernel)


def test_code_that_gives_up_waiting_by_itself_withdraws_its_question(kernel):
    execution = kernel.submit(
        """
import signal
is_asked = False

def give_up(number, frame):
    if is_asked:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise TimeoutError("no answer came")

older = signal.signal(signal.SIGALRM, give_up)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
try:
    input("quick? ")
except TimeoutError as error:
    said = str(error)
finally:
    signal.signal(signal.SIGALRM, older)
answer = input("slow? ")
(said, answer)
"""
    )
    wait_for_prompt(execution)
    kernel.namespace["is_asked"] = True
    assert [event.prompt for event in asked_until(execution, "slow? ")] == ["quick? ", "slow? "]
    kernel.answer_input("to the slow one", execution.id)
    assert execution.result(DEADLINE_S) == ("no answer came", "to the slow one")
    assert_goes_on(kernel)


def asked_until(execution: Execution, prompt: str) -> list[Event]:
    asked = []
    for event in execution.events(timeout=DEADLINE_S):
        if event.kind == Kind.INPUT_REQUESTED:
            asked.append(event)
            if event.prompt == prompt:
                return asked
    raise AssertionError(f"{prompt!r} was not asked: {asked}")


# Restarts


def test_a_restart_forgets_the_prompts_of_the_old_worker(kernel):
    execution = kernel.submit("input('who? ')")
    wait_for_prompt(execution)
    kernel.restart()
    assert kernel.status()["prompts"] == []
    with pytest.raises(NotAsked):
        kernel.answer_input("too late")
    with pytest.raises(rpyc_kernel.KernelDied):
        execution.result(DEADLINE_S)
    assert_goes_on(kernel)


def test_a_forked_child_that_asks_gets_an_end_of_file_at_once(kernel):
    execution = kernel.submit(
        """
import os
pid = os.fork()
if not pid:
    try:
        input("child? ")
    except EOFError:
        os._exit(7)
    finally:
        os._exit(1)
os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    )
    assert execution.result(DEADLINE_S) == 7
    assert_goes_on(kernel)
