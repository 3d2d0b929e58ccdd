"""A debugger for one client at a time: debugpy inside this process, and the client's socket, which the hub handed over.

debugpy is asked to connect to this process itself, so that there is no port by which a stranger could get hold of it:
the one who connects has to know a token that was made for it a moment before.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading as shared  # with debugpy
from collections.abc import Iterator
from typing import Any

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.system.originals import logging, socket, threading, time
from rpyc_kernel.system.sending import silence_thread
from rpyc_kernel.wire.debug_adapter import DebugChannel
from rpyc_kernel.worker import forks, imports
from rpyc_kernel.worker.debugging.session import DebugSession
from rpyc_kernel.worker.error_reports import describe_briefly
from rpyc_kernel.worker.interrupts import Interrupts, keep_out

_log = logging.getLogger(__name__)
_ATTACH_S = 20.0
_STRANGER_S = 5.0
_LEAVING_S = 15.0
_NOTICE_S = 1.0
_LOOK_AGAIN_S = 0.01
_NO_FILE_CHECK = "PYDEVD_DISABLE_FILE_VALIDATION"


class DebugServer:
    """Lets clients debug, one at a time.

    Args:
        cells: what the paths of sources begin with that a client gives.
        interrupts: must find what stands at a breakpoint.
    """

    def __init__(self, cells: str, interrupts: Interrupts) -> None:
        self._cells = cells
        self._interrupts = interrupts
        self._freed = threading.Condition()
        self._is_taken = False
        self._is_ending = False
        self._session: DebugSession | None = None
        self._is_traced = False

    @property
    def sources(self) -> str:
        """What the paths of sources begin with that a client gives, "" where there is no debugger."""
        return self._cells if importlib.util.find_spec("debugpy") is not None else ""

    def begin(self) -> None:
        """On the main thread: have the debugger, if there is one, see what runs next."""
        if self._session is not None:
            _trace()
            self._is_traced = True

    def end(self) -> None:
        """On the main thread: have it see no more, and forget a step that led to the end."""
        if self._is_traced:
            _untrace()
            self._is_traced = False

    def connect(self, sock: socket.socket) -> None:
        """Serve a client whose socket the hub handed over, until it leaves."""
        silence_thread()  # and those that debugpy starts: it writes on when its other end is closed
        client = DebugChannel(sock)
        try:
            with self._claim():
                self._debug(client)
        except RequestError as error:
            with contextlib.suppress(ConnectionLost):
                client.send({"ready": False, "message": str(error)})
        except ConnectionLost as error:
            _log.info("the debugger's client is gone: %s", error)
        except BaseException as error:  # noqa: BLE001 - the top of a thread, in which user code may raise anything
            _log.exception("the debugger failed")
            with contextlib.suppress(Exception):  # nobody is there, or user code has taken away what it takes
                client.send({"ready": False, "message": f"debugpy cannot be started: {describe_briefly(error)}"})
        finally:
            client.close()

    @contextlib.contextmanager
    def _claim(self) -> Iterator[None]:
        begin = time.monotonic()
        with self._freed:
            # That a client has gone is known when what it sent before is dealt with, so nobody is refused at once.
            while self._is_taken:
                if time.monotonic() - begin > (_LEAVING_S if self._is_being_left else _NOTICE_S):
                    raise RequestError("another client debugs this kernel; it has to disconnect first")
                self._freed.wait(_LOOK_AGAIN_S)
            self._is_taken = True
        try:
            yield
        finally:
            with self._freed:
                self._is_taken = self._is_ending = False
                self._freed.notify()

    @property
    def _is_being_left(self) -> bool:
        session = self._session
        return self._is_ending or (session is not None and session.is_leaving)

    def _debug(self, client: DebugChannel) -> None:
        debuggee = _attach()
        session = DebugSession(client, debuggee, self._cells, _runs_past)
        self._session, self._interrupts.let_go = session, session.let_go
        try:
            client.send({"ready": True})
            session.run()
        finally:
            self._is_ending = True  # until the next may come: there is no session to tell it any more
            self._interrupts.let_go = _do_nothing
            _detach()
            debuggee.close()
            self._session = None


def _runs_past(path: str) -> bool:
    """Whether debugpy, as it was attached to, stops nowhere in a file; False where this release of it does not say."""
    try:
        filtering = sys.modules["pydevd"].get_global_debugger()._files_filtering
        by_rule = filtering.exclude_by_filter(path, "")
        is_foreign = filtering.use_libraries_filter() and not filtering.in_project_roots(path)
    except (KeyError, AttributeError, TypeError):
        return False
    return bool(is_foreign if by_rule is None else by_rule)


def _attach() -> DebugChannel:
    """Start debugpy in this process; returns the other end of its conversation."""
    pydevd = _load()
    if pydevd.get_global_debugger() is not None:
        raise RequestError("user code has started a debugger of its own; stop that one, or restart the kernel")
    token = os.urandom(16).hex()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_ATTACH_S)
        host, port = listener.getsockname()
        pydevd.settrace(
            host=host,
            port=port,
            suspend=False,
            wait_for_ready_to_run=False,
            client_access_token=token,
            notify_stdin=False,
            dont_trace_start_patterns=(_folder_of("debugpy"),),
        )
        sys.settrace(None)  # of this thread
        return _accept(listener, token)


@imports.for_kernel()
def _load() -> Any:
    """Import debugpy's inner part, without its advice to start Python with other options."""
    if importlib.util.find_spec("debugpy") is None:
        raise RequestError(
            f"the kernel's Python has no debugpy; install it there ({sys.executable} -m pip install debugpy, or "
            "'rpyc-kernel[jupyter]'), and restart the kernel"
        )
    was_set = _NO_FILE_CHECK in os.environ
    os.environ.setdefault(_NO_FILE_CHECK, "1")
    try:
        import debugpy.server.api  # noqa: F401 - it makes the next one importable
        import pydevd
    finally:
        if not was_set:
            del os.environ[_NO_FILE_CHECK]
    keep_out(_folder_of("debugpy"))
    return pydevd


def _folder_of(package: str) -> str:
    return os.path.dirname(os.path.abspath(str(sys.modules[package].__file__)))


def _accept(listener: socket.socket, token: str) -> DebugChannel:
    """Take the connection of who knows the token; anybody on this machine may have tried in between."""
    while True:
        sock, _ = listener.accept()
        channel = DebugChannel(forks.keep_from_children(sock))
        channel.set_timeout(_STRANGER_S)
        try:
            channel.send({"type": "request", "seq": 1, "command": "pydevdAuthorize", "arguments": {}})
            if _knows(channel.receive().get("body"), token):
                channel.set_timeout(None)
                return channel
        except ConnectionLost as error:
            _log.info("a stranger at the debugger's door: %s", error)
        channel.close()


def _knows(body: Any, token: str) -> bool:
    shown = body.get("clientAccessToken") if isinstance(body, dict) else None
    from hmac import compare_digest  # which debugpy has loaded; it takes a start 3 ms

    # Text that is not all ASCII cannot be compared.
    return isinstance(shown, str) and compare_digest(shown.encode("utf-8", "replace"), token.encode())


def _detach() -> None:
    import pydevd

    pydevd.stoptrace()
    deadline = time.monotonic() + _LEAVING_S
    while pydevd.get_global_debugger() is not None and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_S)  # another thread of its own clears up


def _trace() -> None:
    from pydevd import get_global_debugger

    debugger = get_global_debugger()
    if debugger is not None:  # else the client leaves just now
        debugger.enable_tracing()


def _untrace() -> None:
    """Have debugpy see nothing more of this thread, and forget that it was to stop here."""
    from _pydevd_bundle.pydevd_api import PyDevdAPI
    from _pydevd_bundle.pydevd_constants import get_current_thread_id
    from pydevd import get_global_debugger

    debugger = get_global_debugger()
    if debugger is None:  # the client has left meanwhile
        sys.settrace(None)
    else:
        debugger.disable_tracing()
        PyDevdAPI().request_resume_thread(get_current_thread_id(shared.current_thread()))


def _do_nothing() -> None:
    pass
