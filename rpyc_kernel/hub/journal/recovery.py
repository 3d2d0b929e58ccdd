"""What the next hub has to know of this one, kept up to date as events are committed.

It is written beside the events now and then. A start reads it, and of the events those that came after it, however
many there are before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import MAX_NUMBER, Kind

_MAX_SESSIONS = 100

TELLING = (
    Kind.WORKER_STARTED,
    Kind.WORKER_DIED,
    Kind.CLIENT_JOINED,
    Kind.STARTED,
    Kind.INPUT_REQUESTED,
    Kind.INPUT_ANSWERED,
)
"""The kinds whose payload is looked at."""
CONCERNING = (*TELLING, Kind.HUB_STOPPED, Kind.QUEUED, Kind.APPROVED, Kind.FINISHED)


class Recovery:
    """What is unfinished, asked and known. Everything before a clean stop is settled."""

    def __init__(self) -> None:
        self.last_execution = 0
        self._generation = 0
        self._had_worker = False
        self._ring = (0, 0)
        self._queued: dict[int, tuple[int, str]] = {}
        self._approved: set[int] = set()
        self._started: dict[int, tuple[float, int | None]] = {}
        self._prompts: dict[int, tuple[int | None, str | None]] = {}
        self._sessions: dict[str, tuple[str, str]] = {}
        self._takers: dict[str, Callable[..., None]] = {
            Kind.HUB_STOPPED: self._take_stop,
            Kind.WORKER_STARTED: self._take_worker,
            Kind.WORKER_DIED: self._take_death,
            Kind.CLIENT_JOINED: self._take_client,
            Kind.QUEUED: self._take_queued,
            Kind.APPROVED: self._take_approval,
            Kind.STARTED: self._take_started,
            Kind.FINISHED: self._take_finished,
            Kind.INPUT_REQUESTED: self._take_request,
            Kind.INPUT_ANSWERED: self._take_answer,
        }

    # ------------------------------------------------------------------ events

    def take(
        self, seq: int, when: float, kind: str, execution: int | None, session: str | None, payload: dict[str, Any]
    ) -> None:
        """Take note of an event; the payload is needed for those `TELLING` only."""
        taker = self._takers.get(kind)
        if taker is None:
            return
        try:
            if execution is None or execution <= MAX_NUMBER:
                taker(seq, when, execution, session, payload)
        except (TypeError, KeyError):  # an event that was damaged, or made up by user code
            return

    def take_ring(self, generation: int, position: int) -> None:
        """Take note of the position in the ring up to which everything is recorded."""
        self._ring = generation, position

    def ring_position(self, generation: int) -> int:
        """Up to where the ring of a generation is recorded."""
        return self._ring[1] if self._ring[0] == generation else 0

    def _take_stop(self, *_: Any) -> None:
        self._had_worker = False
        for held in (self._queued, self._approved, self._started, self._prompts, self._sessions):
            held.clear()

    def _take_worker(self, _seq: int, _when: float, _execution: Any, _session: Any, payload: dict[str, Any]) -> None:
        self._had_worker = True
        self._generation = max(self._generation, payload["generation"])

    def _take_death(self, _seq: int, _when: float, _execution: Any, _session: Any, payload: dict[str, Any]) -> None:
        self._had_worker = False
        self._generation = max(self._generation, payload["generation"])
        self._prompts.clear()

    def _take_client(self, _seq: int, _when: float, _execution: Any, session: str, payload: dict[str, Any]) -> None:
        self._sessions.pop(session, None)  # who came last stands last
        self._sessions[session] = payload["name"], payload["role"]
        if len(self._sessions) > _MAX_SESSIONS:
            owners = {owner for _, owner in self._queued.values()}
            del self._sessions[next((name for name in self._sessions if name not in owners), session)]

    def _take_queued(self, seq: int, _when: float, execution: int, session: str, _payload: Any) -> None:
        self.last_execution = max(self.last_execution, execution)
        self._queued[execution] = seq, session

    def _take_approval(self, _seq: int, _when: float, execution: int, _session: Any, _payload: Any) -> None:
        if execution in self._queued:
            self._approved.add(execution)

    def _take_started(self, _seq: int, when: float, execution: int, _session: Any, payload: dict[str, Any]) -> None:
        if execution in self._queued:
            count = payload.get("count")
            self._started[execution] = when, count if type(count) is int else None

    def _take_finished(self, _seq: int, _when: float, execution: int, _session: Any, _payload: Any) -> None:
        self._queued.pop(execution, None)
        self._approved.discard(execution)
        self._started.pop(execution, None)

    def _take_request(
        self, _seq: int, _when: float, execution: int | None, session: str | None, payload: dict[str, Any]
    ) -> None:
        # Also of a finished execution: a thread that it left behind may wait for the answer.
        self._prompts[payload["token"]] = execution, session

    def _take_answer(self, _seq: int, _when: float, _execution: Any, _session: Any, payload: dict[str, Any]) -> None:
        self._prompts.pop(payload["token"], None)

    # ------------------------------------------------------------------ what comes of it

    @property
    def unfinished(self) -> dict[int, tuple[int, str]]:
        """The number of the event that queued each unfinished execution, and whose it is, in the order of the queue."""
        return dict(self._queued)

    def restored(self, queued: dict[int, dict[str, Any]]) -> events.Restored:
        """Say what a new hub takes over.

        Args:
            queued: the payloads of the events that queued what is unfinished, by execution.
        """
        return events.Restored(
            generation=self._generation,
            last_execution=self.last_execution,
            had_worker=self._had_worker,
            unfinished=tuple(
                (execution, session, queued[execution], *self._started.get(execution, (None, None)))
                for execution, (_, session) in self._queued.items()
                if execution in queued
            ),
            approved=frozenset(self._approved),
            prompts=tuple((token, execution, session) for token, (execution, session) in self._prompts.items()),
            sessions=tuple((session, name, role) for session, (name, role) in self._sessions.items()),
        )

    # ------------------------------------------------------------------ on disk

    def as_text(self) -> str:
        """Write it down."""
        return json.dumps(
            {
                "last_execution": self.last_execution,
                "generation": self._generation,
                "had_worker": self._had_worker,
                "ring": self._ring,
                "waiting": [(number, *queued) for number, queued in self._queued.items()],
                "let_go": sorted(self._approved),
                "begun": [(number, *started) for number, started in self._started.items()],
                "prompts": [(token, *asked) for token, asked in self._prompts.items()],
                "sessions": [(session, *said) for session, said in self._sessions.items()],
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Recovery:
        """Read what `as_text` wrote.

        Raises:
            ValueError: it is something else.
        """
        recovery = cls()
        try:
            told = json.loads(text)
            recovery.last_execution = int(told["last_execution"])
            recovery._generation = int(told["generation"])
            recovery._had_worker = bool(told["had_worker"])
            generation, position = told["ring"]
            recovery._ring = int(generation), int(position)
            recovery._queued = {number: (seq, session) for number, seq, session in told["waiting"]}
            recovery._approved = set(map(int, told.get("let_go", ())))  # no release before this one wrote it
            recovery._started = {number: (float(when), _read_count(count)) for number, when, count in told["begun"]}
            recovery._prompts = {token: (number, session) for token, number, session in told["prompts"]}
            recovery._sessions = {session: (name, role) for session, name, role in told["sessions"]}
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"no record of what is unfinished: {error}") from None
        return recovery

    def follow(self, rows: Iterable[tuple[Any, ...]], load: Callable[[object], dict[str, Any] | None]) -> None:
        """Take note of rows that were committed after this was written."""
        for seq, when, kind, execution, session, payload, generation, ring in rows:
            if type(ring) is int and type(generation) is int:
                self.take_ring(generation, ring)
            self.take(seq, when, kind, execution, session, (load(payload) if kind in TELLING else None) or {})


def _read_count(count: Any) -> int | None:
    return None if count is None else int(count)
