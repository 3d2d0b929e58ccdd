"""How user code reads a line, and what becomes of questions nobody waits for any more."""

import builtins
import getpass
import io
import os
import queue
import sys
import threading

import IPython.core.error
import pytest

from rpyc_kernel.worker.capture import begin_execution, current_execution, end_execution
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.prompts import Prompts, StandardInput

TIMEOUT_S = 30.0


class Desk:
    """Prompts, and somebody who answers them."""

    def __init__(self):
        self.asked = queue.SimpleQueue()
        self.withdrawn = []
        self.interrupts = Interrupts()
        self.prompts = Prompts(
            lambda *question: self.asked.put(question),
            lambda token, execution: self.withdrawn.append((token, execution)),
            self.interrupts,
        )

    def answer_next(self, *answers):
        """Answer the next questions from another thread; returns that thread."""

        def run():
            for text in answers:
                token, *_ = self.asked.get(timeout=TIMEOUT_S)
                assert self.prompts.answer(token, text)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize(("is_password", "asked"), [(False, "raw_input"), (True, "getpass")])
def test_where_nobody_can_be_asked_the_error_is_that_of_ipython_where_it_is_loaded(
    desk, monkeypatch, is_password, asked
):
    def refuse():
        token, *_ = desk.asked.get(timeout=TIMEOUT_S)
        assert desk.prompts.answer(token, None, True)

    names = []
    for of_ipython in (IPython.core.error, None):
        monkeypatch.setitem(sys.modules, "IPython.core.error", of_ipython)
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(NotImplementedError, match=rf"^{asked} was called, but this frontend does not ") as raised:
            desk.prompts.read_line("? ", is_password)
        thread.join()
        names.append(raised.type.__name__)
    assert names == ["StdinNotImplementedError", "NotImplementedError"]


def test_a_question_is_asked_under_its_execution_and_its_answer_returned(desk):
    token = current_execution.set(7)
    begin_execution(7, is_main=False)
    questions = []
    original, desk.prompts._ask = desk.prompts._ask, lambda *q: (questions.append(q), original(*q))
    thread = desk.answer_next("blue")
    assert desk.prompts.read_line("colour? ", password=True) == "blue"
    end_execution(7)
    current_execution.reset(token)
    thread.join()
    ((_, execution, prompt, password),) = questions
    assert (execution, prompt, password) == (7, "colour? ", True)


def test_each_question_has_a_token_of_its_own_that_no_other_worker_gives_out(desk):
    tokens = []
    desk.prompts._ask = lambda token, *_: (tokens.append(token), desk.prompts.answer(token, ""))
    for _ in range(3):
        desk.prompts.read_line("")
    assert len(set(tokens)) == 3
    assert {token >> 20 for token in tokens} == {os.getpid()}


def test_answers_find_their_way_to_the_thread_that_asked(desk):
    got = {}

    def ask(name):
        got[name] = desk.prompts.read_line(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    asked = [desk.asked.get(timeout=TIMEOUT_S) for _ in threads]
    for token, _, prompt, _ in reversed(asked):
        desk.prompts.answer(token, prompt.upper())
    for thread in threads:
        thread.join()
    assert got == {"a": "A", "b": "B", "c": "C"}


def test_end_of_file_ends_the_input(desk):
    thread = desk.answer_next(None)
    with pytest.raises(EOFError):
        desk.prompts.read_line("? ")
    thread.join()


def test_a_question_that_is_answered_is_not_withdrawn(desk):
    thread = desk.answer_next("x")
    desk.prompts.read_line("? ")
    thread.join()
    assert desk.withdrawn == []


def test_an_interrupt_withdraws_the_question(desk):
    desk.interrupts.is_pending = True
    with pytest.raises(KeyboardInterrupt):
        desk.prompts.read_line("? ")
    token, *_ = desk.asked.get(timeout=TIMEOUT_S)
    assert desk.withdrawn == [(token, 0)]
    assert not desk.prompts.answer(token, "too late")


def test_the_questions_that_wait_can_be_told_and_those_that_have_an_answer_are_withdrawn(desk):
    told, withdrawn = [], desk.withdrawn
    first = threading.Thread(target=desk.prompts.read_line, args=("first? ",))
    first.start()
    of_first = desk.asked.get(timeout=TIMEOUT_S)
    second = threading.Thread(target=desk.prompts.read_line, args=("second? ", True))
    second.start()
    of_second = desk.asked.get(timeout=TIMEOUT_S)

    def publish(asking):
        told.append(asking)
        assert desk.prompts.answer(of_first[0], "x")  # which its thread may find at once, or only later

    desk.prompts.tell(publish)
    first.join()
    assert [desk.asked.get(timeout=TIMEOUT_S) for _ in "12"] == [of_first, of_second]
    assert told == [[of_first[0], of_second[0]]]
    assert set(withdrawn) == {of_first[:2]}
    desk.prompts.tell(told.append)
    assert desk.asked.get(timeout=TIMEOUT_S) == of_second
    assert told[1:] == [[of_second[0]]]
    assert desk.prompts.answer(of_second[0], "y")
    second.join()
    assert withdrawn[-1] == of_second[:2]
    desk.prompts.tell(told.append)
    assert told[2:] == [[]]


def test_a_question_that_is_just_withdrawn_is_told_no_more(desk):
    published = []

    def withdraw(token, execution):
        published.append("withdrawn")
        desk.prompts.tell(published.append)  # as the thread that hears the hub does in the middle of that

    desk.prompts._withdraw = withdraw
    desk.interrupts.is_pending = True
    with pytest.raises(KeyboardInterrupt):
        desk.prompts.read_line("? ")
    assert published == ["withdrawn", []]


def test_an_answer_to_what_nobody_asked_is_refused(desk):
    assert not desk.prompts.answer(3, "x")


@pytest.fixture
def installed(desk, monkeypatch):
    for owner, name in ((builtins, "input"), (getpass, "getpass"), (sys, "stdin")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    desk.prompts.install()
    return desk


def test_input_getpass_and_standard_input_ask(installed):
    thread = installed.answer_next("a", "b", "c", "d", None)
    assert input("? ") == "a"
    assert getpass.getpass() == "b"
    assert sys.stdin.readline() == "c\n"
    assert sys.stdin.read() == "d\n"
    thread.join()
    assert builtins.input.__name__ == "input"


def test_standard_input_gives_lines_as_a_file_does(desk):
    stdin = StandardInput(desk.prompts)
    thread = desk.answer_next("long line", "", "last", None, None)
    assert stdin.readline(4) == "long"
    assert stdin.readline(0) == ""
    assert stdin.read(1) == " "
    assert stdin.readline() == "line\n"
    assert list(stdin) == ["\n", "last\n"]
    assert stdin.readline() == ""
    thread.join()
    assert stdin.readable()
    assert not stdin.isatty()


def test_a_line_cut_short_asks_nobody(desk):
    stdin = StandardInput(desk.prompts)
    thread = desk.answer_next("x")
    stdin.readline(1)
    thread.join()
    assert stdin.read(100) == "\n"


def test_standard_input_gives_bytes_too(desk):
    stdin = StandardInput(desk.prompts)
    thread = desk.answer_next("grün", "b", "x" * 20_000, None, "text")
    assert stdin.buffer.readline() == "grün\n".encode()
    assert stdin.buffer.read(1) == b"b"
    assert stdin.buffer.read() == b"\n" + b"x" * 20_000 + b"\n"
    assert stdin.readline() == "text\n"
    thread.join()


def test_standard_input_has_the_descriptor_that_children_inherit(desk):
    stdin = StandardInput(desk.prompts)
    assert stdin.fileno() == stdin.detach().fileno() == 0
    assert stdin.mode == "r"
    stdin.reconfigure(encoding="utf-8", errors="replace")
    with pytest.raises(io.UnsupportedOperation, match=r"sys\.stdin\.buffer, 'latin-1'"):
        stdin.reconfigure(encoding="latin-1")
    stdin.close()
    assert not stdin.closed


def test_input_reads_what_user_code_has_put_in_place_of_standard_input(installed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    assert input("which? ") == "one"
    assert capsys.readouterr().out == "which? "
    with pytest.raises(EOFError):
        input()


@pytest.mark.parametrize("stdout", [None, object()])
def test_input_asks_whatever_stands_in_place_of_standard_output(installed, monkeypatch, stdout):
    thread = installed.answer_next("a")
    monkeypatch.setattr(sys, "stdout", stdout)
    answer = input()
    monkeypatch.undo()
    thread.join()
    assert answer == "a"
