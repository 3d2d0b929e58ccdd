"""A network between a client and a server that can be broken: by hand, after so many bytes, or as a seed decides.

One thread passes all bytes, and does what it is told between two of them: a fault that returned has happened, and one
that was ordered `after` some bytes happens after exactly these. Either side is TCP on loopback or a unix socket.

    with proxying(("127.0.0.1", port)) as proxy:
        client = connect(proxy.address)
        proxy.after(1000, proxy.reset, DOWN)  # in the middle of some frame that the server sends
        ...
        proxy.heal()
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.ports import find_port

UP, DOWN = "up", "down"
"""From the client to the server, and back."""
WAYS = (UP, DOWN)

Place = tuple[str, int] | Path

_PIECE_BYTES = 256 * 1024
_HELD_BYTES = 1024 * 1024
"""What one direction of a connection holds before its source has to wait."""
_LIMIT_S = 10.0
_ENDS_WITH_RESET = struct.pack("ii", 1, 0)


class _Way:
    """One direction of a connection.

    Attributes:
        is_dead: what comes is swallowed.
        has_ended: the source has said its last byte.
        is_closed: the target has been told so, or never will be.
    """

    def __init__(self, name: str, source: socket.socket, target: socket.socket | None) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.held: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.is_dead = target is None
        self.has_ended = False
        self.is_closed = target is None

    def kill(self) -> None:
        self.is_dead = self.is_closed = True
        self.held.clear()
        self.held_bytes = 0

    @property
    def can_read(self) -> bool:
        return not self.has_ended and self.held_bytes < _HELD_BYTES

    def can_write(self, now: float) -> bool:
        return bool(self.held) and self.held[0][0] <= now


class _Connection:
    """The two sockets of a client that came; of one that came into a black hole, only its own."""

    def __init__(self, near: socket.socket, far: socket.socket | None) -> None:
        self.sockets = [near] if far is None else [near, far]
        self.ways = [_Way(UP, near, far)] if far is None else [_Way(UP, near, far), _Way(DOWN, far, near)]
        for sock in self.sockets:
            sock.setblocking(False)

    def end(self) -> None:
        """Say to both sides that no more comes; what they still say is swallowed until they end as well."""
        for way in self.ways:
            way.kill()
        for sock in self.sockets:
            with contextlib.suppress(OSError):  # it has gone by itself
                sock.shutdown(socket.SHUT_WR)

    def close(self, *, by_reset: bool = False) -> None:
        for sock in self.sockets:
            if by_reset and sock.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ENDS_WITH_RESET)
            sock.close()
        for way in self.ways:
            way.kill()
            way.has_ended = True


class Proxy:
    """Listens, and passes on to the target what comes.

    What a fault did to a connection stays: one that lost bytes is of no more use, also after `heal`. New connections
    meet what holds when they come.

    Attributes:
        target: where connections lead; it may move.
        listens_at: a port of loopback, or the path of a unix socket.
        swallowed: how many bytes were taken and never given to anybody.
        accepted: how many clients came.
        tap: sees each piece before it is passed on, and returns what is passed on in its place.
    """

    def __init__(self, target: Place, listens_at: Path | None = None) -> None:
        self.target = target
        self.listens_at: Place = listens_at or ("127.0.0.1", find_port())
        self._passed = dict.fromkeys(WAYS, 0)
        self.swallowed = 0
        self.accepted = 0
        self.tap: Callable[[str, bytes], bytes] = lambda _, piece: piece
        self._connections: list[_Connection] = []
        self._listener: socket.socket | None = None
        self._delay_s = 0.0
        self._is_paused = False
        self._is_black_hole = False
        self._ordered: list[tuple[str, int, Callable[[], object]]] = []
        self._told: deque[tuple[Callable[[], object], threading.Event]] = deque()
        self._is_closing = False
        self._waker, self._woken = socket.socketpair()
        self._listen()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._thread.start()

    @property
    def address(self) -> str:
        """What a client of a kernel connects to."""
        return _name(self.listens_at)

    @property
    def passed(self) -> dict[str, int]:
        """How many bytes each side has been given, by direction; of what was received, none is missing."""
        counts: dict[str, int] = {}
        self._do(lambda: counts.update(self._passed))
        return counts

    @property
    def open_count(self) -> int:
        """How many connections there are now."""
        return len(self._connections)

    # ------------------------------------------------------------------ faults

    def cut(self) -> None:
        """End every connection in good order: each side sees the end of what the other says (FIN)."""
        self._do(lambda: [connection.end() for connection in self._connections])

    def reset(self) -> None:
        """Break every connection: RST to both sides. A unix socket knows none, and just ends."""
        self._do(self._reset)

    def delay(self, seconds: float) -> None:
        """Let every byte that comes from now on be under way for so long."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def half_open(self, dead: str) -> None:
        """Swallow what goes in this direction of the connections that there are; the other one lives."""
        self._do(
            lambda: [way.kill() for connection in self._connections for way in connection.ways if way.name == dead]
        )

    def black_hole(self) -> None:
        """Swallow all, and let no side hear of the other; who comes now is accepted, and never answered."""
        self._do(self._swallow_all)

    def black_hole_newest(self) -> None:
        """Swallow what goes either way of the connection that came last; the others live."""
        self._do(lambda: [way.kill() for way in self._connections[-1].ways])

    def refuse(self) -> None:
        """Turn away who comes; the connections that there are stay."""
        self._do(self._stop_listening)

    def vanish(self) -> None:
        """End every connection, and turn away who comes."""
        self.cut()
        self.refuse()

    def pause(self) -> None:
        """Pass nothing and lose nothing, as while a machine is suspended or a cable is out."""
        self._do(lambda: setattr(self, "_is_paused", True))

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._do(lambda: setattr(self, "_is_paused", False))

    def heal(self) -> None:
        """Be a sound network from now on. What was ordered is forgotten."""
        self._do(self._heal)

    def after(self, count: int, fault: Callable[[], object], way: str) -> None:
        """Have this done when exactly so many more bytes have been passed in this direction, over all connections."""
        self._do(lambda: self._ordered.append((way, self._passed[way] + count, fault)))

    def strike(self, chance: random.Random) -> str:
        """Do what chance chooses, at once or within the next bytes; says what it is."""
        way, other = chance.choice(WAYS), chance.choice(WAYS)
        seconds = chance.choice((0.02, 0.1, 0.3))
        faults: dict[str, Callable[[], None]] = {
            "cut": self.cut,
            "reset": self.reset,
            f"delay of {seconds} s": lambda: self.delay(seconds),
            f"half-open, {other} is dead": lambda: self.half_open(other),
            "black hole": self.black_hole,
            "pause": self.pause,
            "cut, and nobody is let in": self.vanish,
        }
        name = chance.choice(list(faults))
        count = chance.choice((0, chance.randrange(1, 200), chance.randrange(200, 100_000)))
        if not count:
            faults[name]()
            return name
        self.after(count, faults[name], way)
        return f"{name} after {count} bytes {way}"

    def close(self) -> None:
        """End everything; once is enough."""
        if self._thread.is_alive():
            self._do(lambda: setattr(self, "_is_closing", True))
            self._thread.join()

    # ------------------------------------------------------------------ in the thread, or before there is one

    def _do(self, action: Callable[[], object]) -> None:
        if threading.current_thread() is self._thread:
            action()
            return
        done = threading.Event()
        self._told.append((action, done))
        with contextlib.suppress(OSError):  # it was seen already, and was the last that is done
            self._waker.send(b"!")
        if not done.wait(_LIMIT_S):
            raise RuntimeError("the proxy's thread is gone or stuck")

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._wait_and_pass()
        finally:
            self._stop_listening()
            for connection in self._connections:
                connection.close()
            self._connections.clear()
            self._waker.close()
            self._woken.close()
            while self._told:
                self._told.popleft()[1].set()

    def _wait_and_pass(self) -> None:
        now = time.monotonic()
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        sources: dict[int, _Way] = {}
        targets: dict[int, _Way] = {}
        wait_s = None
        if not self._is_paused:
            if self._listener is not None:
                poll.register(self._listener, select.POLLIN)
            for way in self._ways():
                if way.can_read:
                    sources[way.source.fileno()] = way
                if way.held and way.target is not None:
                    if way.can_write(now):
                        targets[way.target.fileno()] = way
                    else:
                        left_s = way.held[0][0] - now
                        wait_s = left_s if wait_s is None else min(wait_s, left_s)
            for number in sources.keys() | targets.keys():
                poll.register(number, select.POLLIN * (number in sources) | select.POLLOUT * (number in targets))
        ready = dict(poll.poll(None if wait_s is None else wait_s * 1000 + 1))
        self._do_what_was_told(is_told=ready.pop(self._woken.fileno(), 0) != 0)
        if self._is_paused or self._is_closing:
            return
        if self._listener is not None and ready.pop(self._listener.fileno(), 0):
            self._accept(self._listener)
        for number, happened in ready.items():
            # What was told may have closed them meanwhile.
            if number in targets and happened & ~select.POLLIN and not self._is_paused:
                self._write(targets[number])
            if number in sources and happened & ~select.POLLOUT and not self._is_paused:
                self._read(sources[number])
        self._forget_ended()

    def _ways(self) -> list[_Way]:
        return [way for connection in self._connections for way in connection.ways]

    def _do_what_was_told(self, *, is_told: bool) -> None:
        if is_told:
            self._woken.recv(4096)
        while self._told:
            action, done = self._told.popleft()
            action()
            self._forget_ended()
            done.set()

    def _listen(self) -> None:
        if isinstance(self.listens_at, Path):
            self.listens_at.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.listens_at))
            self._listener.listen(1024)
        else:
            self._listener = socket.create_server(self.listens_at, backlog=1024)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            if isinstance(self.listens_at, Path):
                self.listens_at.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        near, _ = listener.accept()
        self.accepted += 1
        if self._is_black_hole:
            self._connections.append(_Connection(near, None))
            return
        try:
            far = _connect(self.target)
        except OSError:  # as a tunnel does whose far end finds nobody
            near.close()
            return
        for sock in (near, far):
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append(_Connection(near, far))

    def _read(self, way: _Way) -> None:
        if not way.can_read:
            return
        try:
            piece = way.source.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._break(way)
            way.has_ended = True
            return
        if not piece:
            way.has_ended = True
            self._pass_end(way)
        elif way.is_dead:
            self.swallowed += len(piece)
        else:
            piece = self.tap(way.name, piece)
            way.held.append((time.monotonic() + self._delay_s, piece))
            way.held_bytes += len(piece)
            if not self._delay_s:
                self._write(way)

    def _write(self, way: _Way) -> None:
        while way.target is not None and not self._is_paused and way.can_write(time.monotonic()):
            due, piece = way.held.popleft()
            allowed = self._count_until_ordered(way.name, len(piece))
            try:
                count = way.target.send(memoryview(piece)[:allowed])
            except BlockingIOError:
                count = 0
            except OSError:
                self._break(way)
                return
            way.held_bytes -= count
            self._passed[way.name] += count
            if count < len(piece):
                way.held.appendleft((due, piece[count:]))
            self._do_what_was_ordered(way.name)
            if count < allowed:
                return  # it takes no more for now
        self._pass_end(way)

    def _pass_end(self, way: _Way) -> None:
        if way.has_ended and not way.held and not way.is_closed and way.target is not None:
            way.is_closed = True
            with contextlib.suppress(OSError):
                way.target.shutdown(socket.SHUT_WR)

    def _break(self, way: _Way) -> None:
        """One side has broken its connection; the other hears of it unless what leads there is dead."""
        (connection,) = (each for each in self._connections if way in each.ways)
        if any(each.is_dead for each in connection.ways):
            for each in connection.ways:
                each.kill()
        else:
            connection.close(by_reset=True)

    def _forget_ended(self) -> None:
        for connection in list(self._connections):
            if all(way.has_ended and way.is_closed for way in connection.ways):
                connection.close()
                self._connections.remove(connection)

    def _count_until_ordered(self, name: str, count: int) -> int:
        return min([count, *(at - self._passed[name] for way, at, _ in self._ordered if way == name)])

    def _do_what_was_ordered(self, name: str) -> None:
        due = [order for order in self._ordered if order[0] == name and order[1] <= self._passed[name]]
        for order in due:
            self._ordered.remove(order)
            order[2]()

    def _reset(self) -> None:
        for connection in self._connections:
            connection.close(by_reset=True)

    def _swallow_all(self) -> None:
        self._is_black_hole = True
        for way in self._ways():
            way.kill()

    def _heal(self) -> None:
        self._ordered.clear()
        self._delay_s = 0.0
        self._is_paused = self._is_black_hole = False
        if self._listener is None:
            self._listen()


def _connect(place: Place) -> socket.socket:
    if not isinstance(place, Path):
        return socket.create_connection(place, timeout=_LIMIT_S)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(_LIMIT_S)
    try:
        sock.connect(str(place))
    except OSError:
        sock.close()
        raise
    return sock


def _name(place: Place) -> str:
    return f"unix://{place}" if isinstance(place, Path) else f"tcp://{place[0]}:{place[1]}"


@contextlib.contextmanager
def proxying(target: Place, listens_at: Path | None = None) -> Iterator[Proxy]:
    """A proxy to this target, by a port of its own or at a unix socket; closed at the end with all connections."""
    proxy = Proxy(target, listens_at)
    try:
        yield proxy
    finally:
        proxy.close()
