"""What happened in many kernels, in the order of time: group log."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import takewhile

from plumbum import cli

from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.cli.group_commands import GroupCommand, ask_all, first_status
from rpyc_kernel.cli.past import PastCommand, with_head
from rpyc_kernel.cli.selection import Selection
from rpyc_kernel.cli.times import read_when
from rpyc_kernel.client.archive import Archive
from rpyc_kernel.client.connect_string import shown_of
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import is_colourful
from rpyc_kernel.faces.frontend.following import follow
from rpyc_kernel.faces.frontend.render import Recording, Renderer
from rpyc_kernel.faces.frontend.session_slot import is_session_slot
from rpyc_kernel.faces.frontend.summaries import format_time
from rpyc_kernel.faces.frontend.transcript import Transcript
from rpyc_kernel.faces.groups.colours import Tags

_Told = tuple[float, str]
"""When, and what to write."""


class _Voice:
    """One of the kernels, and how its events are told."""

    def __init__(self, who: str, source: KernelClient | Archive, since: int | float, tag: str, as_json: bool) -> None:
        self.who = who
        self.source = source
        self._tag = tag
        self._as_json = as_json
        self._selection = Selection(source, since)
        self.last = self._selection.last
        transcript = Transcript("", shows_visit=is_session_slot)
        self._recording = Recording(transcript, Renderer(is_colourful=is_colourful(sys.stdout)))

    def past(self) -> Iterator[_Told]:
        """All that has happened up to now."""
        return self.describe(takewhile(lambda event: event.seq <= self.last, self._selection.events()))

    def tail(self, count: int) -> Iterable[_Told]:
        """The last that has."""
        return self._selection.tail(self.describe, count, self.last)

    def describe(self, events: Iterable[Event]) -> Iterator[_Told]:
        """What there is to tell of events."""
        for event in events:
            if text := self._describe(event):
                yield event.time, text

    def _describe(self, event: Event) -> str:
        if self._as_json:
            return json.dumps({"kernel": self.who, **event.as_dict()}) + "\n"
        text = self._recording.render(event)
        self._recording.line_was_ended()
        head = f"{format_time(event.time)} {self._tag}"
        return with_head(head, text.removesuffix("\n"), f"{' ' * 20}{self._tag}") + "\n" if text else ""


class GroupLog(PastCommand, GroupCommand):
    """Show what happened in kernels, in the order of time, each event with who tells it.

    --since takes a time, as of 'rpyc-kernel log'. Commands and programs that come and go are told only with --json,
    where each event is an object on a line of its own, with the name of its kernel. Kernels that are stopped are read
    from their journals, and patterns mean them, too; what follows comes from the others.

    Examples:
        rpyc-kernel group log 'train-*' --tail 20 --follow
        rpyc-kernel group log 'train-{0..7}' --since 2h --json
    """

    USAGE = GroupCommand.USAGE

    since = cli.SwitchAttr("--since", str, default="0", help="begin at a time", argname="WHEN")
    tail = cli.SwitchAttr("--tail", int, help="only the last so many that would be shown", argname="NUMBER")
    is_following = cli.Flag(["-f", "--follow"], help="go on as things happen, until the kernels stop")

    def main(self, *targets: str) -> int:
        tail: int | None = self.tail
        if tail is not None and tail < 1:
            raise UsageError(f"--tail {tail}: at least one is shown")
        found, since = self.find_targets(targets, only_running=False), read_when(self.since, time.time())
        tags = Tags(map(shown_of, found), is_colourful=is_colourful(sys.stdout))
        with contextlib.ExitStack() as opened:
            sources, errors = ask_all(found, self.find)
            for source in sources.values():
                if isinstance(source, KernelClient):
                    opened.enter_context(source)
            self.tell_failures(errors)
            voices = [
                _Voice(who, source, since, tags.of(who), bool(self.as_json))
                for who, source in ((shown_of(target), source) for target, source in sources.items())
            ]
            told = heapq.merge(*(voice.past() if tail is None else voice.tail(tail) for voice in voices), key=_when)
            _write(told if tail is None else list(told)[-tail:])
            if self.is_following:
                asyncio.run(self._follow_all([voice for voice in voices if isinstance(voice.source, KernelClient)]))
        return first_status(errors)

    async def _follow_all(self, voices: list[_Voice]) -> None:
        await asyncio.gather(*map(self._follow, voices))

    async def _follow(self, voice: _Voice) -> None:
        assert isinstance(voice.source, KernelClient)
        try:
            watch = await asyncio.to_thread(voice.source.watch, voice.last)
            async with contextlib.aclosing(follow(watch)) as batches:
                async for batch in batches:
                    _write(voice.describe(batch))
        except KernelError as error:  # the others go on
            self.tell_failures({voice.who: error})


def _when(told: _Told) -> float:
    return told[0]


def _write(told: Iterable[_Told]) -> None:
    for _, text in told:
        sys.stdout.write(text)
    sys.stdout.flush()
