"""All that a console shows of a conversation, to the letter: what must not come does not, and nothing comes twice."""

import queue
from collections.abc import Iterator
from typing import Any

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.console import foreground
from rpyc_kernel.faces.console.console import LEFT, Console
from tests.faces.console.events import ALICE, ME, make_event, make_status
from tests.faces.console.screens import QuietScreen
from tests.support.folders import Folders

TIMEOUT_S = 30

Told = tuple[str, int | None, str | None, dict[str, Any]]


class Kernel:
    """Tells what a test says when this code is handed in; there, 0 stands for the number of it."""

    session = ME
    name = "demo"
    last_seen = 0

    def __init__(self, tells: dict[str, list[Told]]) -> None:
        self._tells = tells
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._number = 3
        self._seq = 0
        self.acknowledged: list[int] = []

    def status(self) -> dict[str, Any]:
        return make_status()

    def queue(self) -> list[dict[str, Any]]:
        return []

    def history(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def enqueue(self, code: str) -> int:
        self._number += 1
        number = self._number
        self._tell(Kind.QUEUED, number, ME, {"code": code, "name": "me"})
        for kind, execution, session, fields in self._tells[code]:
            self._tell(kind, number if execution == 0 else execution, session, fields)
        return number

    def _tell(self, kind: str, execution: int | None, session: str | None, fields: dict[str, Any]) -> None:
        self._seq += 1
        self._events.put(make_event(kind, execution, session, self._seq, **fields))

    def events(self, since: int) -> Iterator[Event]:
        while (event := self._events.get(timeout=TIMEOUT_S)) is not None:
            yield event

    def acknowledge(self, seq: int) -> None:
        self.acknowledged.append(seq)

    def close(self) -> None:
        self._events.put(None)


class Screen(QuietScreen):
    """Types one code after another, and leaves."""

    def __init__(self, *codes: str) -> None:
        super().__init__()
        self._codes = list(codes)

    async def read_code(self) -> str:
        if not self._codes:
            raise EOFError
        return self._codes.pop(0)


@pytest.fixture(autouse=True)
def patience(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has no delay explained."""
    monkeypatch.setattr(foreground, "_PATIENCE_S", 3600)


def talk(monkeypatch: pytest.MonkeyPatch, tells: dict[str, list[Told]]) -> list[str]:
    """The lines that are shown to one who types these codes, each when the one before has ended."""
    kernel, screen = Kernel(tells), Screen(*tells)
    console = Console(kernel, "welcome", lambda: kernel)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(console, "_make_screen", lambda: screen)
    assert console.run() == LEFT
    assert kernel.acknowledged[-1] == kernel._seq
    return screen.shown.splitlines()


def started() -> Told:
    return Kind.STARTED, 0, ME, {"generation": 1, "count": 1}


def printed(text: str, execution: int | None = 0, session: str | None = ME) -> Told:
    return Kind.STREAM, execution, session, {"name": "stdout", "text": text}


def ended(outcome: str = "ok", execution: int = 0, session: str = ME) -> Told:
    return Kind.FINISHED, execution, session, {"outcome": outcome, "duration_s": 0.1}


def test_of_what_one_waits_for_output_and_value_are_shown_and_no_more(monkeypatch: pytest.MonkeyPatch):
    value = (Kind.RESULT, 0, ME, {"data": {"text/plain": "42"}})
    shown = talk(monkeypatch, {"work()": [started(), printed("to"), printed("gether\n"), value, ended()]})
    assert shown == ["welcome", "together", "42"]


def test_an_error_is_shown_once(monkeypatch: pytest.MonkeyPatch):
    error = (Kind.ERROR, 0, ME, {"ename": "E", "evalue": "odd", "traceback": "Traceback\nE: odd\n"})
    shown = talk(monkeypatch, {"fail()": [started(), error, ended("error")], "1": [started(), ended()]})
    assert shown == ["welcome", "Traceback", "E: odd"]


def test_others_are_told_apart_and_their_ends_are_not_told(monkeypatch: pytest.MonkeyPatch):
    others = [
        (Kind.QUEUED, 90, ALICE, {"code": "look()", "name": "alice"}),
        (Kind.STARTED, 90, ALICE, {"generation": 1, "count": 7}),
        printed("seen\n", 90, ALICE),
        ended("ok", 90, ALICE),
    ]
    shown = talk(monkeypatch, {"work()": [started(), *others, printed("mine\n"), ended()]})
    assert shown == ["welcome", "[alice] In [7]: look()", "[alice] seen", "mine"]


def test_what_others_run_and_are_asked_is_not_the_users(monkeypatch: pytest.MonkeyPatch):
    """The screen here cannot ask; nor is one who leaves told that it goes on."""
    queued = (Kind.QUEUED, 90, ALICE, {"code": "look()", "name": "alice"})
    question = (Kind.INPUT_REQUESTED, 90, ALICE, {"token": 1, "prompt": "who?", "password": False})
    shown = talk(monkeypatch, {"work()": [started(), queued, question, ended()]})
    assert shown == ["welcome", "[alice] waits for input: who? (%answer 90 answers for them)"]


def test_an_unfinished_line_is_ended_once(monkeypatch: pytest.MonkeyPatch):
    tells = {"first()": [started(), printed("no end"), ended()], "second()": [started(), printed("next\n"), ended()]}
    assert talk(monkeypatch, tells) == ["welcome", "no end", "next"]
