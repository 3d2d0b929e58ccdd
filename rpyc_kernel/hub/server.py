"""Who comes to a hub: by a port and a unix socket with a handshake, and by two unix sockets for stock RPyC clients.

Every connection has a thread of its own. Until it has proven itself it is a stranger; strangers are few (see `places`)
and have little time. Where there are as many as may be, the next ones wait in the system's queue until one has proven
itself or has had its time; nobody who is inside notices. What comes from where somebody has failed to prove itself
again and again is cut at once for a while.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rpyc_kernel.core.contract import Departure, Role, Security
from rpyc_kernel.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    KernelDied,
    KernelError,
    NotPermitted,
)
from rpyc_kernel.frozen import changed
from rpyc_kernel.hub import service
from rpyc_kernel.hub.attempts import Attempts
from rpyc_kernel.hub.doors import Doors, Serve
from rpyc_kernel.hub.guests import Guests
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.hub.listening import Listeners, Listening
from rpyc_kernel.hub.places import MORE_FOR_TLS, Places
from rpyc_kernel.hub.sparing import Sparing
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.system.descriptors import max_descriptors
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.budget import Budget
from rpyc_kernel.wire.handshake import Identity, Welcome
from rpyc_kernel.wire.keys import Grant, Key
from rpyc_kernel.wire.refusal import refuse
from rpyc_kernel.wire.values.server import refuse_stock, serve_values

_log = logging.getLogger(__name__)
_SESSION_BYTES = 128 * 1024 * 1024
"""How much all large messages of a session's connections may take while they come in; the largest may have half."""
_CLOSING_S = 2.0
_HEARING_S = 1.0
_LOOK_AGAIN_S = 0.005
_LOG_PAUSE_S = 10.0
_WORKER_START_S = 20.0
_MAX_LATE = 32
"""How many may wait at once for a worker that is starting, to ask it something."""
_STOCK = "stock"
"""The channel by which the worker gets clients with nothing but RPyC."""


class Server:
    """Serves connections until closed; RequestError where the unix sockets cannot be made.

    Args:
        folder: where those are.
        name: of the kernel.
        ring: whose keys let in.
        settings: of the hub.
        tcp: the ports; they are closed with the doors.

    Attributes:
        doors: where connections come in; to be closed first.
    """

    def __init__(self, folder: RuntimeFolder, name: str, ring: KeyRing, settings: HubSettings, tcp: Listeners) -> None:
        self._name = name
        self._ring = ring
        self._settings = settings
        self._hub: Hub | None = None
        self._guests: Guests | None = None
        self._later = ThreadPoolExecutor(_MAX_LATE, thread_name_prefix="hub-later")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._services: set[service.HubService] = set()
        # Held by the connections of each session: it goes with the last of them.
        self._budgets: weakref.WeakValueDictionary[str, Budget] = weakref.WeakValueDictionary()
        self._sent_away: set[str] = set()  # the sessions of those inside whose connections were ended
        self._attempts = Attempts()
        self._dismissed: set[socket.socket] = set()  # those whom the hub leaves, who are told so
        self._refusals = Sparing(_log_refusals, _LOG_PAUSE_S)
        self._places = Places(name, settings, max_descriptors(), freed=lambda: self.doors.wake())
        self._folder = folder
        self._tcp = tcp
        self.doors = Doors(
            self._find_local,
            tcp,
            find_serving=self._find_serving,
            has_room=self._places.has_room,
            take=self._take,
            failed=self._refusals.note,
        )

    def _find_local(self) -> dict[Path, Serve]:
        return {
            self._folder.hub_socket: self._serve_proven,
            self._folder.rpyc_socket: self._serve_stock,
            self._folder.objects_socket: self._serve_stock_objects,
        }

    def _find_serving(self, listening: Listening) -> Serve:
        return self._serve_tls if listening.security == Security.TLS else self._serve_proven

    def start(self, hub: Hub) -> None:
        """Begin to accept clients of ``hub``."""
        self._hub = hub
        self._guests = Guests(hub, self._ring, end=self.end_connections)
        self.doors.start()

    def look(self) -> None:
        """Do what is to be done about once a second."""
        assert self._guests is not None
        self._guests.look()
        self._refusals.look()

    def let_hear(self, seq: int) -> None:
        """Wait a moment until all who read events have been told of this one."""
        deadline = time.monotonic() + _HEARING_S
        pause = threading.Event()
        while time.monotonic() < deadline:
            with self._lock:
                if all(offered.has_heard(seq) for offered in self._services):
                    return
            pause.wait(_LOOK_AGAIN_S)

    def close(self) -> None:
        """End every connection after its last answer, cut those that do not take it; the doors must be closed."""
        with self._lock:
            still_open = dict(self._open)
            self._dismissed.update(still_open)
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            deadline = time.monotonic() + _CLOSING_S
            for sock in still_open:
                with contextlib.suppress(OSError):
                    sock.shutdown(how)
            for thread in still_open.values():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._later.shutdown(wait=False)

    # ------------------------------------------------------------------ one connection

    def _take(self, sock: socket.socket, origin: str, serve: Serve) -> None:
        """Serve one who has just come on a thread of its own."""
        if origin and self._attempts.wait_s(origin):
            sock.close()
            return
        self._places.add(sock, origin)
        thread = threading.Thread(
            target=self._serve, args=(sock, serve, origin), name=f"client-{next(self._numbers)}", daemon=True
        )
        with self._lock:
            self._open[sock] = thread
        try:
            thread.start()
        except RuntimeError as error:  # no more threads
            self._refusals.note(f"a connection cannot be served: {error}")
            self._forget(sock)

    def _serve(self, sock: socket.socket, serve: Serve, origin: str) -> None:
        try:
            serve(sock, origin)
        except (ConnectionFailed, NotPermitted) as error:
            self._refusals.note(f"refused: {error}")
            if isinstance(error, (AuthenticationFailed, NotPermitted)):
                assert self._guests is not None
                self._guests.note_refusal(str(error), address=origin)
            if isinstance(error, AuthenticationFailed) and origin:
                self._attempts.note_failure(origin)
        except Exception:  # noqa: BLE001 - one connection's trouble is its own
            _log.exception("%s failed", threading.current_thread().name)
        finally:
            self._forget(sock)

    def _forget(self, sock: socket.socket) -> None:
        """This connection is over."""
        self._places.remove(sock)
        with self._lock:
            self._dismissed.discard(sock)
            del self._open[sock]
        sock.close()

    # ------------------------------------------------------------------ serving

    def _serve_tls(self, sock: socket.socket, origin: str) -> None:
        """Serve a client behind TLS, by a plain socket in front of which a thread of its own speaks TLS."""
        deadline = time.monotonic() + self._settings.handshake_timeout_s
        self._places.note_more(sock, MORE_FOR_TLS)
        relay, certificate = self._tcp.accept(sock, self._settings.handshake_timeout_s)
        passing = threading.Thread(target=relay.run, name=f"{threading.current_thread().name}-tls", daemon=True)
        try:
            passing.start()
        except RuntimeError as error:  # no more threads
            relay.close()
            raise ConnectionFailed(f"a connection cannot be served: {error}") from None
        finally:
            if passing.ident is None:
                relay.plain.close()
        try:
            with relay.plain as line, self._open_too(line):
                invitation = certificate.invitation if certificate is not None else ""
                if invitation and not handshake.is_begun(line, deadline - time.monotonic()):
                    relay.keep_frames_apart()
                    self._serve_certified(line, sock, origin, invitation)
                else:
                    self._serve_line(line, sock, origin, deadline, self._tcp.fingerprint)
        finally:
            passing.join()  # where the worker serves the client, that is how long the connection lasts

    @contextlib.contextmanager
    def _open_too(self, line: socket.socket) -> Iterator[None]:
        """Have `close` end what is said on a line by itself, and not only cut what stands in front of it."""
        with self._lock:
            self._open[line] = threading.current_thread()
        try:
            yield
        finally:
            with self._lock:
                del self._open[line]
                self._dismissed.discard(line)

    def _serve_proven(self, sock: socket.socket, origin: str) -> None:
        """Serve a client once it has proven that it knows a key."""
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._serve_line(sock, sock, origin, time.monotonic() + self._settings.handshake_timeout_s)

    def _serve_line(
        self, line: socket.socket, sock: socket.socket, origin: str, deadline: float, binding: bytes = b""
    ) -> None:
        """The same on a line, the socket itself or what stands for it; ``binding`` names the secure channel below."""
        welcome = self._greet(line, sock, deadline, binding)
        if origin:
            self._attempts.note_success(origin)
        if welcome.channel == handshake.COMMANDS:
            self._serve_session(line, welcome, origin)
        elif welcome.channel == handshake.EVENTS:
            self._serve_values(line, welcome, origin)
        else:
            self._pass_to_worker(line, handshake.CHANNEL_NAMES[welcome.channel], welcome, origin)

    def _greet(self, line: socket.socket, sock: socket.socket, deadline: float, binding: bytes) -> Welcome:
        unknown: list[str] = []

        def find(key_id: str) -> tuple[Key, Grant] | None:
            found = self._ring.find(key_id)
            if found is None:
                unknown.append(key_id)
            return found

        new_session = os.urandom(6).hex()
        try:
            left_s = deadline - time.monotonic()
            return handshake.greet_client(line, find, new_session, left_s, partial(self._let_in, sock), binding)
        except ConnectionFailed:
            if unknown:  # and the client has most likely left by itself, as no proof has satisfied it
                raise AuthenticationFailed(f"nobody is invited by the key {unknown[0]}") from None
            raise

    def _serve_stock(self, sock: socket.socket, origin: str) -> None:
        """Serve a stock RPyC client: who can open the socket is the user."""
        self._serve_session(sock, self._let_stock_in(sock, sock), origin)

    def _serve_stock_objects(self, sock: socket.socket, origin: str) -> None:
        """Serve one that wants live objects."""
        self._serve_objects(sock, sock, self._let_stock_in(sock, sock), origin)

    def _serve_certified(self, line: socket.socket, sock: socket.socket, origin: str, invitation: str) -> None:
        """Serve a stock RPyC client whose certificate is that of an invitation, whose role holds."""
        line.settimeout(None)
        welcome = self._let_stock_in(line, sock, invitation)
        self._attempts.note_success(origin)
        if Role.allows(welcome.identity.role, handshake.CHANNEL_ROLES[handshake.OBJECTS]):
            self._serve_objects(line, sock, welcome, origin)
        else:
            self._serve_session(line, welcome, origin)

    def _serve_objects(self, line: socket.socket, sock: socket.socket, welcome: Welcome, origin: str) -> None:
        """Have the worker serve a stock RPyC client, whose session lives as long as the worker keeps its end of it.

        The hub keeps the client's socket, too: what it shuts down is down for all who hold it. The session also ends
        with the client's own connection: the worker keeps its end for as long as it does what the client has asked.
        """
        near, far = socket.socketpair()

        def leave() -> None:
            with contextlib.suppress(OSError):  # it is over already
                near.shutdown(socket.SHUT_RDWR)

        told = changed(welcome, channel=handshake.OBJECTS)
        with near:
            with far:
                if not self._pass_to_worker(line, _STOCK, told, origin, far, ended=leave):
                    return
            self._places.note_more(sock, 1)
            with self._lock:
                self._open[near] = threading.current_thread()
            try:
                self._serve_session(near, welcome, origin, in_silence=Departure.LEFT)  # the worker has heard it
            finally:
                with self._lock:
                    del self._open[near]
                with contextlib.suppress(OSError):  # it is closed already
                    line.shutdown(socket.SHUT_RDWR)

    def _let_stock_in(self, line: socket.socket, sock: socket.socket, key: str = "") -> Welcome:
        """Let a stock RPyC client in, by this key, and name its session, as it says nothing of itself.

        The kernel's own key is that of whoever can open the unix sockets. Who is not let in is told why.
        """
        number, found = next(self._numbers), self._ring.find(key)
        try:
            if found is None:
                raise AuthenticationFailed(f"nobody is invited by the certificate of invitation {key}")
            grant = found[1]
            session = grant.own_session(f"rpyc-{os.getpid()}-{number}")
            welcome = Welcome(handshake.COMMANDS, Identity(session, grant.name or f"rpyc-{number}", grant.role), grant)
            problem = self._let_in(sock, welcome)
            if problem is not None:
                raise problem
        except KernelError as error:
            refuse_stock(line, error, self._settings.handshake_timeout_s)
            raise
        return welcome

    def _let_in(self, sock: socket.socket, welcome: Welcome) -> KernelError | None:
        """Have one who has proven to know a key count as inside; returns why not where there is a reason."""
        assert self._guests is not None
        problem = self._guests.problem_with(welcome)
        # Once more while it is let in: whom somebody sends away just now is not looked for outside.
        return problem or self._places.let_in(sock, welcome, self._guests.problem_since)

    def end_connections(self, session: str | None, key: str | None) -> None:
        """End those of a session, or those made with a key, also where the worker has them."""
        assert self._hub is not None
        ending = self._places.find(session, key)
        with self._lock:
            self._sent_away.update(welcome.identity.session for welcome in ending.values())
        for sock in ending:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._hub.notify_worker("end_clients", session, key)

    def _serve_session(
        self, sock: socket.socket, welcome: Welcome, origin: str, *, in_silence: str = Departure.LOST
    ) -> None:
        """Serve one who takes part; who goes ``in_silence`` is taken to have gone so."""
        assert self._hub is not None
        who, why = welcome.identity, in_silence
        with self._lock:
            self._sent_away.discard(who.session)
        came_first = service.join(self._hub, who, origin)
        try:
            if self._serve_values(sock, welcome, origin, came_first=came_first):
                why = Departure.LEFT
        finally:
            with self._lock:
                why = Departure.KICKED if who.session in self._sent_away else why
            service.leave(self._hub, who, why)

    def _serve_values(self, sock: socket.socket, welcome: Welcome, origin: str, *, came_first: bool = False) -> bool:
        """Serve commands or events; whether the client has said that it leaves."""
        assert self._hub is not None
        assert self._guests is not None
        offered = service.HubService(
            self._hub,
            self._guests,
            self._tcp,
            self._name,
            str(self._folder.path),
            self._later,
            welcome,
            came_first=came_first,
        )
        with self._lock:
            self._services.add(offered)
            budget = self._budgets.setdefault(welcome.identity.session, Budget(_SESSION_BYTES))
        forget = self._hub.presence.note(welcome, origin)
        try:
            name = threading.current_thread().name
            return serve_values(sock, offered, name=name, budget=budget, is_dismissed=lambda: sock in self._dismissed)
        finally:
            forget()
            with self._lock:
                self._services.discard(offered)

    def _pass_to_worker(
        self,
        sock: socket.socket,
        channel: str,
        welcome: Welcome,
        origin: str,
        *more: socket.socket,
        ended: Callable[[], None] = lambda: None,
    ) -> bool:
        """Hand the socket itself to the worker, which hears the client without the hub from here on; False if not."""
        assert self._hub is not None
        self._hub.wait_for_worker(_WORKER_START_S)
        whose, forget = (welcome.identity.session, welcome.grant.key), self._hub.presence.note(welcome, origin)

        def end() -> None:
            forget()
            ended()

        try:
            self._hub.hand_over(channel, whose, sock, *more, ended=end)
        except (KernelError, OSError) as error:  # such as no descriptors
            forget()
            _log.info("no worker for a connection of channel %s: %s", channel, error)
            reason = f"the kernel cannot pass this connection to its worker: {error}"
            if channel == _STOCK:
                refuse_stock(sock, KernelDied(reason), self._settings.handshake_timeout_s)
            else:
                refuse(sock, reason)
            return False
        return True


def _log_refusals(last: str, count: int, are_alike: bool) -> None:
    like = " like this" if are_alike else ""
    _log.info("%s%s", last, f" ({count - 1} more{like} before)" if count > 1 else "")
