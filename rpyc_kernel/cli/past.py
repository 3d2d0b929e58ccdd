"""Commands on what has happened: log, history. They read the journal, also of kernels that are stopped."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, JsonCommand, UsageError
from rpyc_kernel.cli.selection import Selection
from rpyc_kernel.cli.times import read_when
from rpyc_kernel.client.address import is_on_other_machine
from rpyc_kernel.client.archive import Archive, has_archive
from rpyc_kernel.client.kernel import KernelClient, Past
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import NoSuchKernel
from rpyc_kernel.faces.frontend.control_characters import is_colourful, sanitize, sanitize_line
from rpyc_kernel.faces.frontend.render import Recording, Renderer
from rpyc_kernel.faces.frontend.summaries import format_time
from rpyc_kernel.faces.frontend.transcript import Transcript
from rpyc_kernel.frozen import fields_of


class PastCommand(JsonCommand):
    """A command on what has happened, also in a kernel that is stopped."""

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[KernelClient | Archive]:
        """The kernel; if it does not run, what its journal holds."""
        source = self.find(name)
        with source if isinstance(source, KernelClient) else contextlib.nullcontext():
            yield source

    def find(self, name: str) -> KernelClient | Archive:
        """The same, to be closed by the caller."""
        try:
            return self.connect(name, joins=False)
        except NoSuchKernel as error:
            return _open_archive(name, error)


def _open_archive(name: str, error: NoSuchKernel) -> Archive:
    """What a kernel that does not run has left; raises the error where that is nothing."""
    if not is_on_other_machine(name):
        if not has_archive(name):
            raise error
        return Archive(name)
    from rpyc_kernel.client.there import ArchiveThere

    try:
        return ArchiveThere(name)
    except NoSuchKernel:
        raise error from None


class History(PastCommand):
    """Show what was run in a kernel, by everybody, the newest last; with TEXT only what has this text in it.

    With --json each input is an object on a line of its own. A kernel that is stopped is read from its journal.

    Examples:
        rpyc-kernel history demo --limit 20
        rpyc-kernel history demo read_csv
    """

    USAGE = "    {progname} [SWITCHES] [NAME [TEXT]]\n"

    limit = cli.SwitchAttr("--limit", int, default=1000, help="how many at most, the newest", argname="NUMBER")

    def main(self, name: str = DEFAULT_NAME, *text: str) -> int:
        if self.limit < 1:
            raise UsageError(f"--limit {self.limit}: at least one is shown")
        with self.open(name) as source:
            found = source.history(" ".join(text), limit=self.limit)
        for past in found:
            print(json.dumps(fields_of(past)) if self.as_json else _describe_input(past))
        return OK


class Log(PastCommand):
    """Show what happened in a kernel, of all sessions and generations, each event with its number and time.

    --since takes the number of an event, or a time: 10m ago (s, m, h, d, w), 13:45, 2026-11-27, '2026-11-27 13:45:10',
    as clocks are set here, or with a Z behind it in UTC. With --json each event is an object on a line of its own. A
    kernel that is stopped is read from its journal.

    Examples:
        rpyc-kernel log demo --since 120
        rpyc-kernel log demo --tail 20 --follow
        rpyc-kernel log demo --since 2h --session ann --json
        rpyc-kernel log demo --execution 3
        rpyc-kernel log demo --replay --speed 10
    """

    USAGE = "    {progname} [SWITCHES] [NAME]\n"

    since = cli.SwitchAttr("--since", str, default="0", help="begin after this event, or at a time", argname="WHEN")
    tail = cli.SwitchAttr("--tail", int, help="only the last so many that would be shown", argname="NUMBER")
    execution = cli.SwitchAttr("--execution", int, help="only what belongs to this execution", argname="NUMBER")
    session = cli.SwitchAttr("--session", str, help="only what belongs to this session", argname="ID|NAME")
    is_following = cli.Flag(["-f", "--follow"], help="go on as things happen, until the kernel stops")
    is_replayed = cli.Flag("--replay", help="show it as a recording, each event after as long as it took then")
    shows_messages = cli.Flag("--messages", help="also show the messages of widgets, as when a slider is moved")
    speed = cli.SwitchAttr("--speed", float, default=1.0, help="how many times faster to replay", argname="FACTOR")

    def main(self, name: str = DEFAULT_NAME) -> int:
        tail: int | None = self.tail
        if tail is not None and (tail < 1 or self.is_replayed):
            raise UsageError(f"--tail {tail}: at least one is shown; a replay shows all there is from --since on")
        since = read_when(self.since, time.time())
        if self.is_replayed:
            return self._replay(name, since)
        with self._select(name, since) as selection:
            last = 0
            if tail is not None:
                last = selection.last
                sys.stdout.writelines(selection.tail(self._describe_all, tail, last))
                if not self.is_following:
                    return OK
                sys.stdout.flush()
            for text in self._describe_all(selection.events(last, follow=bool(self.is_following))):
                sys.stdout.write(text)
                if self.is_following:
                    sys.stdout.flush()
        return OK

    @contextlib.contextmanager
    def _select(self, name: str, since: int | float) -> Iterator[Selection]:
        """What the switches choose; once it is read, it is said if there is no such session."""
        with self.open(name) as source:
            selection = Selection(source, since, self.execution, self.session)
            yield selection
            if not self.is_following:  # or it may still come
                selection.require_session()

    def _describe_all(self, events: Iterable[Event]) -> Iterator[str]:
        recording = self._make_recording()
        described = (json.dumps(e.as_dict()) + "\n" if self.as_json else _describe(e, recording) for e in events)
        return filter(None, described)

    def _make_recording(self) -> Recording:
        transcript = Transcript("", shows_messages=bool(self.shows_messages))
        return Recording(transcript, Renderer(is_colourful=is_colourful(sys.stdout)))

    def _replay(self, name: str, since: int | float) -> int:
        """Show the recording as it looked on a console then."""
        if not self.speed > 0 or self.is_following:  # also NaN
            raise UsageError(
                "a replay needs a speed above 0, and ends with what has happened by now; leave out --follow"
            )
        recording = self._make_recording()
        with self._select(name, since) as selection:
            for event in pace(selection.events(), self.speed, time.sleep):
                sys.stdout.write(json.dumps(event.as_dict()) + "\n" if self.as_json else recording.render(event))
                sys.stdout.flush()
        return OK


def pace(events: Iterable[Event], speed: float, sleep: Callable[[float], None]) -> Iterator[Event]:
    """Yield the events of a recording, each so long after the one before as it was then, divided by ``speed``."""
    before: float | None = None
    for event in events:
        if before is not None:
            sleep(max(0.0, event.time - before) / speed)
        before = event.time
        yield event


def _describe(event: Event, recording: Recording) -> str:
    """The lines about an event, the first with its number and time; "" where there is nothing to tell people."""
    text = recording.render(event)
    recording.line_was_ended()
    if not text:
        return ""
    return with_head(f"{event.seq:>7} {format_time(event.time)} ", text.removesuffix("\n")) + "\n"


def _describe_input(past: Past) -> str:
    """The lines of an input, the first with its number, its time and its author."""
    return with_head(
        f"[{past.execution}] {format_time(past.time)} {sanitize_line(past.name)}: ", sanitize(past.code).rstrip()
    )


def with_head(head: str, text: str, further: str | None = None) -> str:
    """A text behind its head, the further lines below the first, or behind a head of their own."""
    return head + text.replace("\n", "\n" + (" " * len(head) if further is None else further))
