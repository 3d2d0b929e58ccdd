"""All that a console shows of a conversation, to the letter: what must not come does not, and nothing comes twice."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from rpyc_kernel.client.kernel import Interruption
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.errors import NoSuchExecution
from rpyc_kernel.faces.console.console import Console
from rpyc_kernel.faces.frontend import conversation as module
from rpyc_kernel.faces.frontend import foreground
from rpyc_kernel.faces.frontend.commands import COMMANDS
from rpyc_kernel.faces.frontend.conversation import LEFT, Conversation
from rpyc_kernel.faces.frontend.view import Interrupted
from tests.faces.frontend.events import ALICE, ME, make_event, make_item, make_status
from tests.faces.frontend.screens import QuietScreen
from tests.faces.frontend.watches import FakeWatch
from tests.support.folders import Folders

TIMEOUT_S = 30
WELCOME = "welcome"

Told = tuple[str, int | None, str | None, dict[str, Any]]
Talk = Callable[..., list[str]]


class Handed(Future[int]):
    """What is known of code that was handed in."""

    def ask_no_more(self) -> None:
        """It was asked once."""


class Kernel:
    """Tells what a test says when this code is handed in, or this method is called; there, 0 stands for the number."""

    session = ME
    name = "demo"
    last_seen = 0

    def __init__(self, tells: dict[str, list[Told]], status: dict[str, Any]) -> None:
        self._tells = tells
        self._status = status
        self._events = FakeWatch()
        self._number = 3
        self.last = 0
        self.acknowledged: list[int] = []
        self.calls: list[tuple[Any, ...]] = []
        self.press: Callable[[], None] = lambda: None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def status(self) -> dict[str, Any]:
        return self._status

    def queue(self) -> list[dict[str, Any]]:
        return []

    def history(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def hand_in(self, code: str) -> Handed:
        self.press()
        assert self.may_answer.wait(TIMEOUT_S)
        self._number += 1
        self._tell(Kind.QUEUED, self._number, ME, {"code": code, "name": "me"})
        self._tell_all(code, self._number)
        handed = Handed()
        handed.set_result(self._number)
        return handed

    def cancel(self, number: int) -> None:
        if number > self._number:
            raise NoSuchExecution(f"there is no execution {number}")
        self._tell_all("cancel", number)

    def approve(self, number: int) -> None:
        self.calls.append(("approve", number))

    def decline(self, number: int, reason: str) -> None:
        self.calls.append(("decline", number, reason))

    def execution(self, number: int) -> Any:
        code = "x = 1\nif x:\x1b[2J\n  boom()\n"
        return SimpleNamespace(events=lambda: iter([make_event(Kind.QUEUED, number, ALICE, code=code)]))

    def interrupt(self, number: int, *, force: str, wait: float) -> Interruption:
        self.calls.append(("interrupt", number, force, wait))
        self._tell_all("interrupt", number)
        return Interruption("unanswered", number)

    def answer_input(self, text: str | None, number: int) -> None:
        self.calls.append(("answer", text, number))
        self._tell_all("answer", number)

    def _tell_all(self, what: str, number: int) -> None:
        for kind, execution, session, fields in self._tells[what]:
            self._tell(kind, number if execution == 0 else execution, session, fields)

    def _tell(self, kind: str, execution: int | None, session: str | None, fields: dict[str, Any]) -> None:
        self.last += 1
        self._events.put(make_event(kind, execution, session, self.last, **fields))

    def watch(self, since: int, on_loss: object) -> FakeWatch:
        return self._events

    def acknowledge(self, seq: int) -> None:
        self.acknowledged.append(seq)

    def close(self) -> None:
        self._events.put(None)


class Screen(QuietScreen):
    """Types one code after another, each when all that happened is shown, and leaves; answers every question alike."""

    def __init__(self, codes: list[str], answer: type[Exception]) -> None:
        super().__init__()
        self._codes = codes
        self._answer = answer
        self.conversation: Conversation
        self.kernel: Kernel

    async def read_code(self) -> str:
        self.loop = asyncio.get_running_loop()
        self.kernel.may_answer.set()
        await self.conversation._has_number.wait()
        while self.conversation._seen < self.kernel.last:
            await self.conversation.next_change()
        if not self._codes:
            raise EOFError
        return self._codes.pop(0)

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        self.shown += f"{question}\n"
        raise self._answer


@pytest.fixture(autouse=True)
def patience(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no delay explained."""
    monkeypatch.setattr(foreground, "_PATIENCE_S", 3600)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Shows what one sees who types codes, each when the one before has ended or goes on in the background."""

    def talk(
        codes: list[str],
        tells: dict[str, list[Told]] | None = None,
        *,
        status: dict[str, Any] | None = None,
        answer: type[Exception] = EOFError,
        calls: Sequence[tuple[Any, ...]] = (),
        presses: int = 0,
        is_hung: bool = False,
        presses_at_number: bool = False,
    ) -> list[str]:
        kernel, screen = Kernel(tells or {}, status or make_status()), Screen([*codes], answer)
        conversation = Conversation(kernel, WELCOME)  # type: ignore[arg-type]
        console = Console(conversation)
        screen.conversation, screen.kernel = conversation, kernel
        whose = conversation.transcript.whose
        monkeypatch.setattr(console, "_make_screen", lambda: screen)

        def press() -> None:
            if is_hung:
                kernel.may_answer.clear()
            for _ in range(presses):
                asyncio.run_coroutine_threadsafe(interrupt(), screen.loop).result(TIMEOUT_S)

        async def interrupt() -> None:
            console._interrupt()

        def adopt_and_press(number: int, adopt: Callable[[int], None] = whose.adopt) -> None:
            adopt(number)
            console._interrupt()

        if presses_at_number:
            monkeypatch.setattr(whose, "adopt", adopt_and_press)
        kernel.press = press
        assert console.run() == LEFT
        assert kernel.acknowledged[-1] == kernel.last
        assert kernel.calls == [*calls]
        first, *shown = screen.shown.splitlines()
        assert first == WELCOME
        return shown

    return talk


def started() -> Told:
    return Kind.STARTED, 0, ME, {"generation": 1, "count": 1}


def printed(text: str, execution: int | None = 0, session: str | None = ME) -> Told:
    return Kind.STREAM, execution, session, {"name": "stdout", "text": text}


def ended(outcome: str = "ok", execution: int = 0, session: str = ME) -> Told:
    return Kind.FINISHED, execution, session, {"outcome": outcome, "duration_s": 0.1}


def failed() -> Told:
    return Kind.ERROR, 0, ME, {"ename": "E", "evalue": "odd", "traceback": "Traceback\nE: odd\n"}


def asked() -> Told:
    return Kind.INPUT_REQUESTED, 0, ME, {"token": 1, "prompt": "Name: ", "password": False}


def answered(by: str | None) -> Told:
    return Kind.INPUT_ANSWERED, 0, ME, {"token": 1, "by": by}


def test_of_what_one_waits_for_output_and_value_are_shown_and_no_more(talk: Talk):
    value = (Kind.RESULT, 0, ME, {"data": {"text/plain": "42"}})
    tells = {"work()": [started(), printed("to"), printed("gether\n"), value, ended()]}
    assert talk(["work()"], tells) == ["together", "42"]


def test_an_error_is_shown_once(talk: Talk):
    tells = {"fail()": [started(), failed(), ended("error")], "1": [started(), ended()]}
    assert talk(["fail()", "1"], tells) == ["Traceback", "E: odd"]


def test_ctrl_c_before_the_number_is_known_lets_the_code_go_on_as_ones_own(talk: Talk):
    tells = {"work()": [started(), printed("mine\n"), ended()]}
    let_go = "execution 4 goes on in the background; Ctrl-C again offers to interrupt it"
    assert talk(["work()"], tells, presses=1) == ["", let_go, "[4] mine", "[4] finished: ok after 0.1 s"]
    background = "[4] goes on in the background; %jobs lists, %wait 4 waits"
    assert talk(["work();"], {"work()": tells["work()"]}, presses=1)[:3] == ["", background, "[4] mine"]


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_breaks_off_what_a_kernel_does_not_take_and_it_is_known_when_it_does(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, presses: int
):
    monkeypatch.setattr(module, "_NUMBER_S", 0.0 if presses == 1 else TIMEOUT_S)
    tells = {"work()": [started(), printed("mine\n"), ended()]}
    shown = talk(["work()"], tells, presses=presses, is_hung=True)
    broken_off = "broken off; the kernel may still do what it was asked"
    let_go = "execution 4 goes on in the background; Ctrl-C again offers to interrupt it"
    assert shown == [*[""] * presses, broken_off, let_go, "[4] mine", "[4] finished: ok after 0.1 s"]


def test_ctrl_c_in_the_moment_that_the_number_comes_lets_the_execution_go(talk: Talk):
    tells = {"work()": [started(), printed("mine\n"), ended()]}
    let_go = "execution 4 goes on in the background; Ctrl-C again offers to interrupt it"
    shown = talk(["work()"], tells, presses_at_number=True)
    assert shown == ["", let_go, "[4] mine", "[4] finished: ok after 0.1 s"]
    background = "[4] goes on in the background; %jobs lists, %wait 4 waits"
    assert talk(["work();"], tells, presses_at_number=True)[:3] == ["", background, "[4] mine"]


def test_others_are_told_apart_and_their_ends_are_not_told(talk: Talk):
    others = [
        (Kind.QUEUED, 90, ALICE, {"code": "look()", "name": "alice"}),
        (Kind.STARTED, 90, ALICE, {"generation": 1, "count": 7}),
        printed("seen\n", 90, ALICE),
        (Kind.ERROR, 90, ALICE, {"ename": "E", "evalue": "odd", "traceback": "E: odd\n"}),
        ended("error", 90, ALICE),
        printed("late\n", None, None),
    ]
    shown = talk(["work()"], {"work()": [started(), *others, printed("mine\n"), ended()]})
    assert shown == ["[alice] In [7]: look()", "[alice] seen", "[alice] E: odd", "[background] late", "mine"]


def test_what_others_run_and_are_asked_is_not_the_users(talk: Talk):
    """Nor is one who leaves told that it goes on."""
    queued = (Kind.QUEUED, 90, ALICE, {"code": "look()", "name": "alice"})
    question = (Kind.INPUT_REQUESTED, 90, ALICE, {"token": 1, "prompt": "who?", "password": False})
    shown = talk(["work()"], {"work()": [started(), queued, question, ended()]})
    assert shown == ["[alice] waits for input: who? (%answer 90 answers for them)"]


def test_an_unfinished_line_is_ended_once(talk: Talk):
    tells = {"first()": [started(), printed("no end"), ended()], "second()": [started(), printed("next\n"), ended()]}
    assert talk(["first()", "second()"], tells) == ["no end", "next"]


def test_code_that_is_indented_as_a_whole_is_run_without_that(talk: Talk):
    assert talk(["    x = 40\n    x + 2"], {"x = 40\nx + 2": [started(), printed("42\n"), ended()]}) == ["42"]


def test_people_come_and_go_and_scripts_do_it_silently(talk: Talk):
    visits = [
        (kind, None, session, {"name": name})
        for session, name in (("rpyc-1", "script"), ("console-carol-1", "carol"))
        for kind in (Kind.CLIENT_JOINED, Kind.CLIENT_LEFT)
    ]
    assert talk(["work()"], {"work()": [started(), *visits, ended()]}) == ["[carol joined]", "[carol left]"]


# ---------------------------------------------------------------------- coming and leaving


@pytest.mark.parametrize("word", ["exit", "quit()", "%quit"])
def test_words_of_farewell_leave_the_console_and_are_no_code(talk: Talk, word: str):
    assert talk([word, "never()"]) == []


def test_who_leaves_is_told_what_goes_on(talk: Talk):
    shown = talk(["one();", "two();"], {"one()": [started()], "two()": []})
    assert shown == [
        "[4] goes on in the background; %jobs lists, %wait 4 waits",
        "[5] goes on in the background; %jobs lists, %wait 5 waits",
        "[4] and [5] go on without you",
    ]


def test_who_comes_in_is_told_what_others_keep_the_kernel_busy_with(talk: Talk):
    assert talk([], status=make_status(state="busy", running=make_item(3, ALICE, "slow()"))) == [
        "it is busy with [3] of alice (slow()), for 0.0 s"
    ]


def test_who_comes_in_is_told_what_of_ones_own_goes_on(talk: Talk):
    assert talk([], status=make_status(state="busy", running=make_item(3, ME, "slow()"))) == [
        "[3] of yours goes on; %wait waits for it: slow()",
        "[3] goes on without you",
    ]


# ---------------------------------------------------------------------- background jobs


def test_a_job_is_marked_by_its_number_and_its_end_is_one_line(talk: Talk):
    tells = {"work()": [started(), printed("done\n"), ended()], "fail()": [started(), failed(), ended("error")]}
    assert talk(["work();", "fail();", "%jobs"], tells) == [
        "[4] goes on in the background; %jobs lists, %wait 4 waits",
        "[4] done",
        "[4] finished: ok after 0.1 s",
        "[5] goes on in the background; %jobs lists, %wait 5 waits",
        "[5] Traceback",
        "[5] E: odd",
        "[5] finished: error after 0.1 s",
        "nothing of yours is running or queued",
    ]


def test_a_queued_job_can_be_cancelled(talk: Talk):
    tells = {"never()": [], "cancel": [(Kind.FINISHED, 0, ME, {"outcome": "cancelled", "reason": "cancelled by me"})]}
    assert talk(["never();", "%jobs", "%cancel 4", "%jobs"], tells) == [
        "[4] goes on in the background; %jobs lists, %wait 4 waits",
        "[4] queued: never()",
        "execution 4 (never()) is cancelled: cancelled by me",
        "nothing of yours is running or queued",
    ]


def test_what_somebody_asks_to_run_is_shown_let_go_and_declined(talk: Talk):
    calls = [("approve", 7), ("decline", 8, "not that one")]
    assert talk(["%code 7", "%approve 7", "%decline [8] not that one"], calls=calls) == ["x = 1", "if x:", "  boom()"]
    assert talk(["%approve"]) == ["which execution? Say its number, as in %approve 3; %status lists them"]


# ---------------------------------------------------------------------- commands and questions


def test_help_tells_the_keys_of_the_screen_and_lists_every_command(talk: Talk):
    assert talk(["%help"]) == ["keys of this screen", *COMMANDS.splitlines()]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("%jbos", "there is no %jbos; did you mean %jobs? %help lists the commands"),
        ("%cancel x", "'x' is not the number of an execution; %jobs lists yours, %status all"),
        ("%cancel 77", "there is no execution 77"),
        ("%wait", "nothing of yours is running or queued"),
        ("%wait 77", "execution 77 has finished, or is not yours; %jobs lists yours"),
    ],
)
def test_what_cannot_be_done_is_said(talk: Talk, typed: str, said: str):
    assert talk([typed]) == [said]


def test_the_end_of_a_file_can_be_answered(talk: Talk):
    tells = {"ask()": [started(), asked()], "answer": [answered("me"), failed(), ended("error")]}
    shown = talk(["ask()"], tells, answer=EOFError, calls=[("answer", None, 4)])
    assert shown == ["Name: ", "Traceback", "E: odd"]


def test_ctrl_c_at_a_question_interrupts_who_asks_and_answers_nothing(talk: Talk):
    tells = {"ask()": [started(), asked()], "interrupt": [answered(None), failed(), ended("interrupted")]}
    shown = talk(["ask()"], tells, answer=Interrupted, calls=[("interrupt", 4, "signal", 0)])
    assert shown == ["Name: ", "Traceback", "E: odd"]
