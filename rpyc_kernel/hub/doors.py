"""Where connections come in: ports and unix sockets, watched by one thread while there is room behind them."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue

from rpyc_kernel.errors import RequestError
from rpyc_kernel.hub.listening import Listeners, Listening
from rpyc_kernel.system.runtime_folder import listen

_BACKLOG = 128
_PAUSE_S = 0.1

Serve = Callable[[socket.socket, str], None]
"""Serves a connection from an address, "" for one by a unix socket."""
_Door = tuple[socket.socket, Serve]


class Doors:
    """The doors of a hub, open from `start` to `close`; RequestError where the unix sockets cannot be made.

    Args:
        find_local: says where the unix sockets belong now, and who serves those who come by each.
        tcp: the ports; they are closed with the doors.
        find_serving: says who serves those who come by a port.
        has_room: whether one more may come by a socket of this family; `wake` tells that it may again.
        take: takes a connection, the address that it comes from, and who serves it.
        failed: told why nobody can be let in at the moment.
    """

    def __init__(
        self,
        find_local: Callable[[], Mapping[Path, Serve]],
        tcp: Listeners,
        *,
        find_serving: Callable[[Listening], Serve],
        has_room: Callable[[int], bool],
        take: Callable[[socket.socket, str, Serve], None],
        failed: Callable[[str], None],
    ) -> None:
        self._find_local = find_local
        self._tcp = tcp
        self._has_room = has_room
        self._take = take
        self._failed = failed
        self._local: dict[Path, int] = {}
        self._all: list[_Door] = self._open_local()
        self._all += [(each.sock, find_serving(each)) for each in tcp.all]
        self._fresh: SimpleQueue[list[_Door]] = SimpleQueue()
        self._lock = threading.Lock()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._thread = threading.Thread(target=self._watch, name="hub-accept", daemon=True)
        tcp.on_opened(lambda opened: self._add([(opened.sock, find_serving(opened))]))

    @property
    def are_there(self) -> bool:
        """Whether the unix sockets stand where clients look for them."""
        return all(_inode_of(path) == inode for path, inode in self._local.items())

    def reopen(self) -> None:
        """Make the unix sockets anew, where they belong now; whoever is inside stays."""
        self._add(self._open_local())

    def start(self) -> None:
        """Begin to let in."""
        self._thread.start()

    def wake(self) -> None:
        """Look again where there is room."""
        with self._lock:
            if self._wake_out >= 0:
                with contextlib.suppress(BlockingIOError):  # it will wake all the same
                    os.write(self._wake_out, b".")

    def close(self) -> None:
        """Let nobody in any more; whoever is inside stays."""
        os.write(self._wake_out, b"!")
        if self._thread.ident is not None:
            self._thread.join()
        for door, _ in self._all:
            door.close()
        self._tcp.close()
        with self._lock:
            os.close(self._wake_in)
            os.close(self._wake_out)
            self._wake_out = -1

    def _add(self, fresh: list[_Door]) -> None:
        self._fresh.put(fresh)
        self.wake()

    def _open_local(self) -> list[_Door]:
        serving = self._find_local()
        opened: list[_Door] = []
        try:
            for path, serve in serving.items():
                opened.append((listen(path, _BACKLOG), serve))
        except OSError as error:
            for door, _ in opened:
                door.close()
            raise RequestError(f"cannot listen in {path.parent}: {error}") from None
        self._local = {path: _inode_of(path) for path in serving}
        return opened

    # ------------------------------------------------------------------ the thread

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ, None)
            while True:
                self._change(selector)
                self._open_and_shut(selector)
                for key, _ in selector.select():
                    if key.data is not None:
                        self._let_in(*key.data)
                    elif b"!" in os.read(self._wake_in, 64):
                        return

    def _change(self, selector: selectors.BaseSelector) -> None:
        """Take new ports, and new unix sockets instead of the old ones, which nobody can find any more."""
        while not self._fresh.empty():
            fresh = self._fresh.get()
            if any(door.family == socket.AF_UNIX for door, _ in fresh):
                for door, _ in self._all:
                    if door.family == socket.AF_UNIX:
                        if door in selector.get_map():
                            selector.unregister(door)
                        door.close()
                self._all = [entry for entry in self._all if entry[0].family != socket.AF_UNIX]
            self._all += fresh

    def _open_and_shut(self, selector: selectors.BaseSelector) -> None:
        """Look at the doors where there is room for one more, and leave the others shut for now."""
        watched = selector.get_map()
        for door, serve in self._all:
            has_room = self._has_room(door.family)
            if has_room and door not in watched:
                door.setblocking(False)
                selector.register(door, selectors.EVENT_READ, (door, serve))
            elif not has_room and door in watched:
                selector.unregister(door)

    def _let_in(self, door: socket.socket, serve: Serve) -> None:
        try:
            sock, peer = door.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Most often there are no descriptors left; the pause keeps the loop from spinning until some are.
            self._failed(f"a connection cannot be accepted: {error}")
            threading.Event().wait(_PAUSE_S)
            return
        sock.setblocking(True)
        self._take(sock, "" if sock.family == socket.AF_UNIX else str(peer[0]), serve)


def _inode_of(path: Path) -> int:
    try:
        return path.lstat().st_ino
    except OSError:
        return 0
