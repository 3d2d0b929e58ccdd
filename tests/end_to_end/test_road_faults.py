"""Hub, worker, or both are killed at each point of an execution's way, and every promise of the guide is kept.

`ROAD_ROUNDS=100 scripts/test tests/end_to_end/test_road_faults.py` does so a hundred times for each.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionLost, Event, KernelClient, KernelError
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.hub.journal.store import find_damage
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.failpoints import sitecustomize as failpoints
from tests.end_to_end.terminals import ENTER, OpenTerminal
from tests.support.folders import Folders
from tests.support.waiting import wait_until

ROUNDS = int(os.environ.get("ROAD_ROUNDS", "2"))
WAYS = ("execute", "submit")
VICTIMS = {"hub": ("hub_pid",), "worker": ("worker_pid",), "both": ("worker_pid", "hub_pid")}
POINTS = (
    failpoints.REQUESTED,
    failpoints.NUMBERED,
    failpoints.QUEUED,
    failpoints.HANDED_OVER,
    failpoints.HANDLED,
    failpoints.RECEIVED,
    failpoints.STARTED,
    failpoints.PRINTED,
    failpoints.ENDED,
    failpoints.READ,
    failpoints.FINISHED,
    failpoints.RELEASED,
    failpoints.REPLIED,
)
HAS_ENDED = (failpoints.ENDED, failpoints.READ, failpoints.FINISHED, failpoints.REPLIED)
"""Whoever dies there, the end is in the ring or in the journal. (The ring is released by pieces.)"""
LINES, HALF = 60, 30


def write_code(number: int) -> str:
    """Code that comes to the two points within user code, and counts how often it is run."""
    return f"""
reach = __import__("sitecustomize").reach
globals().setdefault("runs", []).append({number})
reach({failpoints.STARTED!r})
for line in range({HALF}): print("round {number} line", line)
reach({failpoints.PRINTED!r})
for line in range({HALF}, {LINES}): print("round {number} line", line)
"""


def number_lines(number: int, count: int) -> str:
    return "".join(f"round {number} line {line}\n" for line in range(count))


def arm(armed: Path, point: str, victims: list[int]) -> None:
    """Have these processes killed at a point, the next time that one of them comes to it."""
    armed.with_suffix(".new").write_text(f"{point}:{' '.join(map(str, victims))}")
    armed.with_suffix(".new").rename(armed)


def wait_until_free() -> None:
    """Wait until another hub can take over: the last threads of a killed process keep its files a moment longer."""
    wait_until(lambda: not any(info.state == "running" for info in rpyc_kernel.kernels()), PATIENCE_S, what="the lock")


class Watcher:
    """A client that notes all it hears, until its hub is gone."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self._client = rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S, reconnect=0)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        try:
            for event in self._client.events(since=0):
                self.heard.append(event)
        except KernelError:
            pass

    def close(self) -> None:
        self._client.close()
        self._thread.join()


class Road:
    """A kernel in which executions are struck by faults, one after the other, and what its clients have heard."""

    def __init__(self, armed: Path) -> None:
        self._armed = armed
        self._heard: dict[int, Event] = {}
        self._told: dict[int, int] = {}
        self._rounds = 0
        self._enter()

    def _enter(self) -> None:
        self._kernel: KernelClient = rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S, reconnect=0)
        self._watcher = Watcher()

    def close(self) -> None:
        self._kernel.close()
        self._watcher.close()

    def shut_down(self) -> None:
        self._kernel.shutdown(timeout=PATIENCE_S)

    def strike(self, point: str, who: str, way: str) -> None:
        """Run code during which somebody is killed, let the kernel recover, and see what has become of it."""
        self._rounds += 1
        before = wait_until(self._look, PATIENCE_S, what="an idle kernel whose watcher has heard all")
        victims = [before[name] for name in VICTIMS[who]]
        arm(self._armed, point, victims)
        self._run(way)
        wait_until(lambda: not self._armed.exists(), PATIENCE_S, what=f"the point {point!r}")
        for victim in victims:
            wait_until(lambda pid=victim: not processes.is_alive(pid), PATIENCE_S, what=f"the end of the {who}")
        if who != "worker":
            self.close()
            self._heard |= {event.seq: event for event in self._watcher.heard}
            wait_until_free()
            self._enter()
        if who != "hub":
            wait_until(lambda: self._kernel.status()["generation"] > before["generation"], PATIENCE_S, what="a worker")
        self._check(point, who, before["worker_pid"])

    def _look(self) -> dict[str, object] | None:
        status = self._kernel.status()
        heard = self._watcher.heard
        is_quiet = status["state"] == "idle" and heard and heard[-1].seq == status["last"]
        return status if is_quiet else None

    def _run(self, way: str) -> None:
        try:
            run = getattr(self._kernel, way)(write_code(self._rounds))
            self._told[self._rounds] = run.id
            run.result(PATIENCE_S)
        except KernelError:
            pass

    def _check(self, point: str, who: str, worker: int) -> None:
        number = self._rounds
        ran = self._kernel.execute("globals().get('runs', [])", timeout=PATIENCE_S).value.count(number)
        self._heard |= {event.seq: event for event in self._watcher.heard}
        events = list(self._kernel.events(since=0, follow=False))
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert {seq: events[seq - 1] for seq in self._heard} == self._heard
        of_kind = {
            kind: [event for event in events if event.kind == kind]
            for kind in (Kind.QUEUED, Kind.STARTED, Kind.STREAM, Kind.FINISHED)
        }
        numbers = [event.execution for event in of_kind[Kind.QUEUED]]
        assert numbers == sorted(set(numbers))
        for kind in (Kind.STARTED, Kind.FINISHED):
            assert Counter(event.execution for event in of_kind[kind]) == Counter(numbers)
        found = [event.execution for event in of_kind[Kind.QUEUED] if event.code == write_code(number)]
        assert found in ([], [self._told[number]]) if number in self._told else len(found) <= 1
        if not found:
            assert number not in self._told
            assert (who != "worker", point in (failpoints.REQUESTED, failpoints.NUMBERED), ran) == (True, True, 0)
            return
        (finished,) = (event for event in of_kind[Kind.FINISHED] if event.execution == found[0])
        printed = "".join(event.text for event in of_kind[Kind.STREAM] if event.execution == found[0])
        has_worker = self._kernel.status()["worker_pid"] == worker
        assert has_worker == (who == "hub")
        if finished.outcome == Outcome.OK:
            assert printed == number_lines(number, LINES)
            assert ran == 1 or (ran == 0 and not has_worker)  # by a worker that is gone
        else:
            assert (finished.outcome, has_worker, ran) == (Outcome.LOST, False, 0)
            assert point not in HAS_ENDED
            least = HALF if point == failpoints.PRINTED else 0
            assert number_lines(number, least) in printed
            assert printed in (number_lines(number, count) for count in range(LINES + 1))


@pytest.fixture
def armed(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file by which points are armed in all processes of kernels that begin from now on."""
    armed = tmp_path / "armed"
    monkeypatch.setenv(failpoints.ARMED, str(armed))
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (os.path.dirname(failpoints.__file__), known))))
    return armed


@pytest.fixture
def road(armed: Path) -> Iterator[Road]:
    with ExitStack() as opened:
        road = Road(armed)
        opened.callback(road.close)
        yield road


@pytest.mark.parametrize("batch", range(-(-ROUNDS // len(WAYS))))
@pytest.mark.parametrize("point", POINTS)
def test_every_promise_is_kept_whoever_is_killed_at(point: str, batch: int, road: Road, folders: Folders):
    for who in VICTIMS:
        for way in WAYS:
            road.strike(point, who, way)
    road.shut_down()
    assert find_damage(folders.state / "demo" / "journal.sqlite") is None


def test_a_question_whose_answer_dies_with_the_hub_is_asked_again(armed: Path):
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S, reconnect=0) as kernel:
        run = kernel.submit("input('who? '), input('and? ')")
        question = next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.INPUT_REQUESTED)
        hub = kernel.status()["hub_pid"]
        arm(armed, failpoints.ANSWERED, [hub])
        with pytest.raises(ConnectionLost, match="it may have been done"):
            kernel.answer_input("ann", run.id)
    wait_until(lambda: not processes.is_alive(hub), PATIENCE_S, what="the end of the hub")
    wait_until_free()
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        again = next(
            event
            for event in kernel.execution(run.id).events(since=question.seq, timeout=PATIENCE_S)
            if event.kind == Kind.INPUT_REQUESTED
        )
        assert again.payload == question.payload
        kernel.answer_input("bob", run.id)
        wait_until(lambda: kernel.status()["prompts"], PATIENCE_S, what="the next question")
        kernel.answer_input("eve", run.id)
        assert kernel.execution(run.id).result(PATIENCE_S) == ("bob", "eve")
        asked = [event.kind for event in kernel.events(execution=run.id, since=0) if event.kind.startswith("input")]
        assert asked == [Kind.INPUT_REQUESTED, Kind.INPUT_ANSWERED] * 3
        kernel.shutdown(timeout=PATIENCE_S)


def test_the_console_tells_that_what_was_answered_to_a_hub_that_died_with_it_waits_again(
    armed: Path, open_terminal: OpenTerminal
):
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        hub = kernel.status()["hub_pid"]
    console = open_terminal("console", "demo", NO_COLOR="1")
    console.enter("print('hello', input('who? '))")
    console.wait_for_prompt("who?")
    arm(armed, failpoints.ANSWERED, [hub])
    console.type("ann" + ENTER)
    wait_until(lambda: not processes.is_alive(hub), PATIENCE_S, what="the end of the hub")
    wait_until_free()
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        console.wait_for_sentence("it may have been done")
        console.wait_for(r"^\[1\] waits for input: who\? \(%answer 1\)$")
        console.enter("%answer 1")
        console.wait_for_prompt("who?")
        console.type("bob" + ENTER)
        console.wait_for("hello bob$")
        kernel.shutdown(timeout=PATIENCE_S)
