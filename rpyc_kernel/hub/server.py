"""The doors of a hub: a TCP port and a unix socket with a handshake, and a unix socket for stock RPyC clients.

Every connection has a thread of its own. Until it has proven itself it is a stranger; strangers are few and have
little time.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import selectors
import socket
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rpyc_kernel.errors import ConnectionFailed, KernelError, RequestError
from rpyc_kernel.hub import service
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.connection import serve_values

_log = logging.getLogger(__name__)
_BACKLOG = 128
_CLOSING_S = 2.0
_HEARING_S = 1.0
_LOOK_AGAIN_S = 0.005
_WORKER_START_S = 20.0
_PASSED_ON = {handshake.OBJECTS: "objects", handshake.BULK: "bulk", handshake.DEBUGGER: "debugger"}


class Server:
    """Accepts connections until closed.

    Args:
        folder: where the unix sockets are made.
        name: the kernel's name.
        key: the shared secret.
        settings: address, deadline, limits.

    Attributes:
        port: the TCP port, 0 where there is none.

    Raises:
        RequestError: an address cannot be listened on.
    """

    def __init__(self, folder: RuntimeFolder, name: str, key: bytes, settings: HubSettings) -> None:
        self._name = name
        self._key = key
        self._settings = settings
        self._hub: Hub | None = None
        self._later = ThreadPoolExecutor(4, thread_name_prefix="hub-later")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._services: set[service.HubService] = set()
        self._strangers = 0
        self._wake_in, self._wake_out = os.pipe()
        self._listeners: list[tuple[socket.socket, Callable[[socket.socket], None]]] = []
        self.port = 0
        try:
            if settings.host:
                self._listeners.append((_listen_tcp(settings.host, settings.port), self._serve_proven))
                self.port = int(self._listeners[0][0].getsockname()[1])
            self._listeners.append((_listen_unix(str(folder.hub_socket)), self._serve_proven))
            self._listeners.append((_listen_unix(str(folder.rpyc_socket)), self._serve_stock))
        except OSError as error:
            for listener, _ in self._listeners:
                listener.close()
            raise RequestError(f"cannot listen on {settings.host}:{settings.port}: {error}") from None
        self._thread = threading.Thread(target=self._accept, name="hub-accept", daemon=True)

    def start(self, hub: Hub) -> None:
        """Begin to accept clients of ``hub``."""
        self._hub = hub
        self._thread.start()

    def stop_accepting(self) -> None:
        """Close the doors; whoever is inside stays."""
        os.write(self._wake_out, b"!")
        if self._thread.ident is not None:
            self._thread.join()
        for listener, _ in self._listeners:
            listener.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

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
        for how in (socket.SHUT_RD, socket.SHUT_RDWR):
            deadline = time.monotonic() + _CLOSING_S
            for sock in still_open:
                with contextlib.suppress(OSError):
                    sock.shutdown(how)
            for thread in still_open.values():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._later.shutdown(wait=False)

    # ------------------------------------------------------------------ accepting

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ, None)
            for listener, serve in self._listeners:
                listener.setblocking(False)
                selector.register(listener, selectors.EVENT_READ, (listener, serve))
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._accept_one(*key.data)

    def _accept_one(self, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            sock, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Most often there are no descriptors left; the pause keeps the loop from spinning until some are.
            _log.error("a connection cannot be accepted: %s", error)
            threading.Event().wait(0.1)
            return
        sock.setblocking(True)
        with self._lock:
            is_crowded = self._strangers >= self._settings.max_strangers
            if not is_crowded:
                thread = threading.Thread(
                    target=self._serve, args=(sock, serve), name=f"client-{next(self._numbers)}", daemon=True
                )
                self._open[sock] = thread
                self._strangers += 1
        if is_crowded:
            handshake.refuse_busy(sock)
            sock.close()
            return
        try:
            thread.start()
        except RuntimeError as error:  # no more threads
            _log.error("a connection cannot be served: %s", error)
            with self._lock:
                del self._open[sock]
                self._strangers -= 1
            sock.close()

    def _serve(self, sock: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        try:
            serve(sock)
        except ConnectionFailed as error:
            _log.info("%s refused: %s", threading.current_thread().name, error)
        except Exception:  # noqa: BLE001 - one connection's trouble is its own
            _log.exception("%s failed", threading.current_thread().name)
        finally:
            with self._lock:
                del self._open[sock]
            sock.close()

    # ------------------------------------------------------------------ serving

    def _serve_proven(self, sock: socket.socket) -> None:
        """Serve a client once it has proven that it knows the key."""
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            new_session = uuid.uuid4().hex[:12]
            welcome = handshake.greet_client(sock, self._key, new_session, self._settings.handshake_timeout_s)
        finally:
            self._prove()
        identity = welcome.identity
        if welcome.channel == handshake.COMMANDS:
            self._serve_session(sock, identity)
        elif welcome.channel == handshake.EVENTS:
            self._serve_values(sock, identity)
        else:
            self._pass_to_worker(sock, _PASSED_ON[welcome.channel])

    def _serve_stock(self, sock: socket.socket) -> None:
        """Serve a stock RPyC client: who can open the socket is the user."""
        self._prove()
        number = next(self._numbers)
        self._serve_session(sock, handshake.Identity(f"rpyc-{os.getpid()}-{number}", f"rpyc-{number}"))

    def _prove(self) -> None:
        with self._lock:
            self._strangers -= 1

    def _serve_session(self, sock: socket.socket, identity: handshake.Identity) -> None:
        assert self._hub is not None
        came_first = service.join(self._hub, identity.session, identity.name, identity.role)
        try:
            self._serve_values(sock, identity, came_first=came_first)
        finally:
            service.leave(self._hub, identity.session, identity.role)

    def _serve_values(self, sock: socket.socket, identity: handshake.Identity, *, came_first: bool = False) -> None:
        assert self._hub is not None
        offered = service.HubService(
            self._hub, identity.session, self._name, self._later, came_first=came_first, role=identity.role
        )
        with self._lock:
            self._services.add(offered)
        try:
            serve_values(sock, offered, name=threading.current_thread().name)
        finally:
            with self._lock:
                self._services.discard(offered)

    def _pass_to_worker(self, sock: socket.socket, channel: str) -> None:
        """Hand the socket itself to the worker; from here on the hub is out of the way."""
        assert self._hub is not None
        self._hub.supervisor.wait_for_worker(_WORKER_START_S)
        try:
            self._hub.supervisor.notify(channel, descriptors=(sock.fileno(),))
        except KernelError as error:
            _log.info("no worker for a connection of channel %s: %s", channel, error)


def _listen_tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def _listen_unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(_BACKLOG)
    return listener
