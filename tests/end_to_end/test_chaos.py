"""The network breaks and hubs are killed, in rounds, while all that a client can do is under way.

`scripts/chaos 200 --seed 7` does two hundred rounds. A round that fails says its seed, its number and its fault.
"""

import os
import random
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack

import pytest

import rpyc_kernel
from rpyc_kernel import CallTimeout, ConnectionFailed, Event, KernelClient, NotAsked
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.hub.journal.store import find_damage
from rpyc_kernel.system import processes
from rpyc_kernel.wire.connection_file import ConnectionFile
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.terminals import ENTER, OpenTerminal, Terminal
from tests.support.folders import Folders
from tests.support.proxy import Proxy, proxying
from tests.support.waiting import wait_until

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "10"))
SEED = os.environ.get("CHAOS_SEED", "1")
PER_KERNEL = 10
SILENCE_S, TIMEOUT_S, RECONNECT_S = 1.0, 10.0, 30.0
TRANSFER_S = 3.0
LIMIT_S = TIMEOUT_S + RECONNECT_S + 20.0
"""Nobody may wait longer: the client's own limits, and what a busy machine adds."""
HUB_KILLED = "the hub is killed"
LINES = 30
DATA_BYTES = 1_000_000
THE_END = "the end\n"


def write_code(number: int) -> str:
    return (
        f"for line in range({LINES}): print('round {number} line', line); __import__('time').sleep(0.003)\n"
        f"globals().setdefault('runs', []).append({number})\n{number}"
    )


def write_lines(number: int) -> str:
    return "".join(f"round {number} line {line}\n" for line in range(LINES))


def write_line(number: int) -> str:
    """What is typed into the console; its output is no part of it."""
    return f"print('typed', {number} + 0)"


def shown(number: int) -> str:
    """What the console shows of that: bare, as its own, however often it had to hand the line in."""
    return rf"^typed {number}$"


class Work:
    """One thing that is under way during a round, on a thread of its own; `told` is the error it ended with."""

    def __init__(self, name: str, do: Callable[[], None]) -> None:
        self.name = name
        self.told: BaseException | None = None
        self._do = do
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._do()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.told = error

    def wait(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            frame = sys._current_frames().get(self._thread.ident or 0)
            pytest.fail(f"{self.name} waits beyond its limit:\n{''.join(traceback.format_stack(frame))}", pytrace=False)


class Follower:
    """Reads every event from the first on, by one iterator over all rounds."""

    def __init__(self, client: KernelClient) -> None:
        self.heard: list[Event] = []
        self.work = Work("follower", lambda: self._listen(client))

    def _listen(self, client: KernelClient) -> None:
        for event in client.events(since=0):
            self.heard.append(event)
            if event.kind == Kind.STREAM and event.text == THE_END:
                return


class Chaos:
    """A kernel; a client, a follower and a console that reach it by one network, and a client that does not need it.

    Attributes:
        fault: what was broken in this round.
    """

    def __init__(self, folders: Folders, open_terminal: OpenTerminal, opened: ExitStack) -> None:
        self.local = self._start()
        opened.callback(lambda: self.local.close())
        self.proxy: Proxy = opened.enter_context(proxying(folders.runtime / "demo" / "hub.sock"))
        self.key = ConnectionFile.read(folders.runtime / "demo" / "kernel.json").key
        self.client = opened.enter_context(self.connect())
        self.client.execute("thing = {'one': 1}; data = b''", timeout=PATIENCE_S)
        self.follower = Follower(opened.enter_context(self.connect()))
        environment = {"RPYC_KERNEL_KEY": self.key, "NO_COLOR": "1", "TESTS_PATIENCE_S": str(TIMEOUT_S)}
        self.console: Terminal = open_terminal("console", self.proxy.address, "--as", "bob", **environment)
        self.console.enter("'it follows ' + 'events'")
        self.console.wait_for("^'it follows events'$")
        self.fault = ""
        self._data = b""

    def connect(self) -> KernelClient:
        return rpyc_kernel.connect(
            self.proxy.address, key=self.key, timeout=TIMEOUT_S, silence=SILENCE_S, reconnect=RECONNECT_S
        )

    def _start(self) -> KernelClient:
        return rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S)

    # ------------------------------------------------------------------ one round

    def do_round(self, number: int, chance: random.Random) -> None:
        """Have everything under way, break something, mend it, and see what has come of all."""
        self.console.wait_for_prompt()
        self.console.type(write_line(number))
        data = chance.randbytes(DATA_BYTES)
        begun = self.local.status()["last"]
        works = [
            Work("future", lambda: self._run(number)),
            Work("prompt", lambda: self._answer(number)),
            Work("push", lambda: self.client.push({"data": data}, timeout=TRANSFER_S)),
            Work("pull", lambda: self._pull(data)),
            Work("netref", self._touch),
        ]
        self.console.type(ENTER)
        self.fault = self._break(chance)
        for work in works:
            work.wait(LIMIT_S)
        self.console.wait_for(shown(number))
        self._check(number, begun, data, works)

    def _break(self, chance: random.Random) -> str:
        pause = threading.Event()
        pause.wait(chance.random() * 0.1)
        fault = self._kill_hub() if chance.random() < 0.15 else self.proxy.strike(chance)
        pause.wait(chance.choice((0.0, 0.1, 0.5, 1.5)))
        if fault == HUB_KILLED:
            self.local = self._start()
        self.proxy.heal()
        return fault

    def _kill_hub(self) -> str:
        pid = self.local.status()["hub_pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not processes.is_alive(pid), PATIENCE_S, "the end of the hub")
        self.local.close()
        return HUB_KILLED

    def _run(self, number: int) -> None:
        run = self.client.submit(write_code(number))
        assert run.result() == number
        assert run.stdout == write_lines(number)

    def _answer(self, number: int) -> None:
        run = self.client.submit(f"input('{number}? ')")
        for event in run.events():
            if event.kind == Kind.INPUT_REQUESTED:
                self._answer_once(run.id, str(number))
        assert run.result() == str(number)

    def _answer_once(self, execution: int, text: str) -> None:
        """An answer whose own answer was lost may have been taken: whoever waits sees, and gives it again if not."""
        while True:
            try:
                self.client.answer_input(text, execution)
            except NotAsked:
                return
            except ConnectionFailed:
                continue
            return

    def _pull(self, new: bytes) -> None:
        got = self.client.pull("data", timeout=TRANSFER_S)
        assert got in (self._data, new), "neither what it was nor what it became"

    def _touch(self) -> None:
        assert self.client.namespace["thing"]["one"] == 1

    def _check(self, number: int, begun: int, data: bytes, works: list[Work]) -> None:
        told = {work.name: work.told for work in works if work.told is not None}
        for name in ("push", "pull", "netref"):  # lost with the connection, which is told; nothing of it is half done
            error = told.pop(name, None)
            assert error is None or (isinstance(error, ConnectionFailed) and str(error)), f"{name}: {error!r}"
        for error in told.values():  # handed in while nobody could be reached, for longer than it was to take
            assert isinstance(error, CallTimeout), told
            assert "the connection is lost" in str(error), told
        value = self.local.pull("data")
        assert value in (self._data, data)
        self._data = value
        events = self._read_all_that_came_of_it(begun)
        queued = [event.execution for event in events if event.kind == Kind.QUEUED]
        assert len(queued) == len({event.code for event in events if event.kind == Kind.QUEUED})
        code = {event.execution: event.code for event in events if event.kind == Kind.QUEUED}
        runs = [each for each in queued if code[each] == write_code(number)]
        assert len(runs) == 1 or (not runs and "future" in told)
        printed = [event.text for event in events if event.kind == Kind.STREAM and event.execution in runs]
        assert "".join(printed) == write_lines(number) * len(runs)
        ends = [event.outcome for event in events if event.kind == Kind.FINISHED and event.execution in queued]
        assert ends == [Outcome.OK] * len(queued)
        assert self.local.eval(f"globals().get('runs', []).count({number})") == len(runs)
        assert list(code.values()).count(write_line(number)) == 1
        assert len(re.findall(rf"typed {number}\b", self.console.text)) == 1

    def _read_all_that_came_of_it(self, begun: int) -> list[Event]:
        """The events from there on, up to the last end: what has been seen of a line may still lack it."""
        for event in self.local.events(since=begun, follow=False):
            if event.kind == Kind.QUEUED:
                assert event.execution is not None
                self.local.execution(event.execution).exception(PATIENCE_S)
        return list(self.local.events(since=begun, follow=False))

    # ------------------------------------------------------------------ after the last

    def check_follower(self) -> None:
        """Every event has come to the follower, once, in order."""
        self.local.execute("print('the end')", timeout=PATIENCE_S)
        self.follower.work.wait(LIMIT_S)
        assert self.follower.work.told is None
        heard = self.follower.heard
        assert heard == list(self.local.events(since=0, follow=False))[: len(heard)]
        assert heard[-1].text == THE_END


@pytest.mark.timeout(60 + 2 * LIMIT_S * PER_KERNEL)
@pytest.mark.parametrize("first", range(1, ROUNDS + 1, PER_KERNEL))
def test_whatever_breaks_each_line_comes_once_and_nobody_waits_for_ever(
    first: int, folders: Folders, open_terminal: OpenTerminal
):
    with ExitStack() as opened:
        chaos = Chaos(folders, open_terminal, opened)
        for number in range(first, min(first + PER_KERNEL, ROUNDS + 1)):
            chaos.fault = ""
            try:
                chaos.do_round(number, random.Random(f"{SEED}:{number}"))
            finally:
                print(f"seed {SEED}, round {number}: {chaos.fault}")
        chaos.check_follower()
        chaos.local.shutdown(timeout=PATIENCE_S)
    assert find_damage(folders.state / "demo" / "journal.sqlite") is None
