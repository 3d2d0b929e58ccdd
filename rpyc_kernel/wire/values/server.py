"""The by-value side of RPyC: one service, plain values in and out, no references to anything else.

The only references handed out are to the service and its exposed methods. They are numbered for good, so there is
nothing to count and nothing to leak, and a client that sends a reference of its own gets an error. That is all a stock
client needs for ``conn.root.method(...)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from types import MethodType
from typing import Any, Final

from rpyc.core import consts

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.later import Later
from rpyc_kernel.system.originals import logging, socket, threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire import messages, remote_errors
from rpyc_kernel.wire.budget import Budget
from rpyc_kernel.wire.channel import DEFAULT_MAX_FRAME_BYTES, Channel, FrameTooLarge
from rpyc_kernel.wire.messages import IdPack
from rpyc_kernel.wire.outbox import Outbox
from rpyc_kernel.wire.sockets import give_up_unheard
from rpyc_kernel.wire.values import plain_codec
from rpyc_kernel.wire.values.call import CallEncoder, encode_request

_log = logging.getLogger(__name__)

_PREFIX: Final = "exposed_"
_METHOD_TYPE: Final = f"{MethodType.__module__}.{MethodType.__name__}"  # stock clients know this class without asking
_ROOT_NUMBER: Final = 1
_SEND_BYTES: Final = 1024 * 1024
"""What the system may hold of answers that a peer has not read: else each large one would take a thread to send."""
_REFUSED_BYTES: Final = 64 * 1024
_BEGIN: Final = bytes((consts.MSG_REQUEST,)) + plain_codec.TUPLE_OF_2
_REPLY: Final = bytes((consts.MSG_REPLY,))
_LATER: Final = (Later, Future)


def serve_values(
    sock: socket.socket,
    service: Any,
    *,
    name: str,
    max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
    budget: Budget | None = None,
    is_dismissed: Callable[[], bool] = lambda: False,
) -> bool:
    """Serve one connection in this thread until it ends; returns whether the client has said that it leaves.

    Args:
        sock: The connected socket; closed on return.
        service: Its methods named ``exposed_…`` can be called, with plain values. One that returns a
            ``concurrent.futures.Future`` or a `Later` is answered when that completes; it is cancelled when the
            connection ends first. Nothing else of the object can be reached.
        name: What the connection is called in thread names and logs.
        max_frame_bytes: The largest message sent or accepted.
        budget: What the large messages of several connections may take together.
        is_dismissed: Whether it is this side that ends the connection, which the peer is told then: one that hears
            nothing may try to come back.
    """
    with suppress(OSError):  # systems have limits of their own
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
    channel = Channel(sock, max_frame_bytes=max_frame_bytes, budget=budget)
    give_up_unheard(sock)
    server = _ValueServer(service, channel, name)
    try:
        has_left = server.serve()
        if is_dismissed():
            server.say_goodbye()
        return has_left
    finally:
        channel.close()
        server.end()


def refuse_stock(sock: socket.socket, error: Exception, timeout_s: float) -> None:
    """Answer a stock client's first request by what keeps it out, if it asks for something in time, and end it.

    Args:
        sock: The connected socket; closed on return.
        error: What it is told.
        timeout_s: How long it may take to ask, and to take the answer, each.
    """
    channel = Channel(sock, max_frame_bytes=_REFUSED_BYTES)
    try:
        sock.settimeout(timeout_s)
        _, seq, _ = messages.decode(channel.recv())
        channel.send(remote_errors.encode(seq, error, _REFUSED_BYTES, include_traceback=False))
    except (ConnectionLost, FrameTooLarge, messages.UnreadableMessage) as failure:
        _log.debug("nobody was told %r: %s", error, failure)
    finally:
        channel.close()


class _ValueServer:
    """One connection's worth of serving."""

    def __init__(self, service: Any, channel: Channel, name: str) -> None:
        self._service = service
        self._channel = channel
        self._name = name
        self._outbox = Outbox(channel, on_blocked=self._start_flusher)
        self._flushers: list[threading.Thread] = []
        self._futures: set[Future[Any] | Later] = set()
        self._is_ended = False
        self._names = [member[len(_PREFIX) :] for member in dir(service) if member.startswith(_PREFIX)]
        kind = type(service)
        self._root_id: IdPack = (f"{kind.__module__}.{kind.__name__}", _ROOT_NUMBER, _ROOT_NUMBER)
        self._method_ids: dict[str, IdPack] = {
            member: (_METHOD_TYPE, _ROOT_NUMBER + 1, _ROOT_NUMBER + 1 + index)
            for index, member in enumerate(self._names)
        }
        self._targets: dict[IdPack, Any] = {id_pack: _Method(member) for member, id_pack in self._method_ids.items()}
        self._targets[self._root_id] = _ROOT
        self._calls = CallReader(self._root_id, self._names)
        self._handlers: dict[int, Callable[..., Any]] = {
            consts.HANDLE_PING: lambda data: data,
            consts.HANDLE_GETROOT: lambda: _ROOT,
            consts.HANDLE_INSPECT: self._inspect,
            consts.HANDLE_GETATTR: self._get,
            consts.HANDLE_CALL: self._call,
            consts.HANDLE_CALLATTR: self._call_attribute,
            consts.HANDLE_DEL: lambda target, count=1: None,
            consts.HANDLE_HASH: lambda target: hash(self._describe(target)),
            consts.HANDLE_REPR: self._describe,
            consts.HANDLE_STR: self._describe,
            consts.HANDLE_DIR: self._list,
            consts.HANDLE_CMP: self._compare,
        }

    # ---- the loop ----

    def serve(self) -> bool:
        """Answer requests until the connection ends; whether the client has ended it in so many words."""
        try:
            while self._serve_one(self._channel.recv()):
                pass
            return True
        except ConnectionLost as error:
            _log.debug("%s: ended: %s", self._name, error)
        except FrameTooLarge as error:
            _log.error("%s: cut, because %s", self._name, error)
        return False

    def say_goodbye(self) -> None:
        """Tell the peer that the connection ends for good."""
        with suppress(ConnectionLost):
            self._send(encode_request(0, consts.HANDLE_CLOSE))

    def end(self) -> None:
        """Cancel what is still to be answered; the channel is closed already."""
        self._is_ended = True
        while self._futures:
            try:
                self._futures.pop().cancel()
            except KeyError:  # another thread completed the last one
                break
        self._join_flushers()

    def _serve_one(self, data: bytes | bytearray) -> bool:
        call = self._calls.read(data)
        if call is not None:
            seq, method, args = call
            self._answer(seq, getattr(self._service, _PREFIX + method), args)
            return True
        try:
            kind, seq, payload = messages.decode(data)
        except messages.UnreadableMessage as error:
            self._send(self._encode_error(error.seq, error))
            return True
        if kind != consts.MSG_REQUEST:  # nothing was asked
            return True
        try:
            handler, package = payload
            if handler == consts.HANDLE_CLOSE:
                return False
            args = messages.build(messages.resolve(package, self._find_target), _refuse)
            handle = self._find_handler(handler)
        except Exception as error:  # noqa: BLE001 - the peer's bytes can fail in any way
            self._send(self._encode_error(seq, error))
        else:
            self._answer(seq, handle, args)
        return True

    def _answer(self, seq: int, handle: Callable[..., Any], args: Any) -> None:
        try:
            result = handle(*args)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # meant for this process
            self._send(self._encode_error(seq, error))
        else:
            if isinstance(result, _LATER):
                self._answer_later(seq, result)
            else:
                self._send(self._encode(seq, result))

    def _answer_later(self, seq: int, future: Future[Any] | Later) -> None:
        self._futures.add(future)

        def answer(done: Future[Any] | Later) -> None:
            self._futures.discard(done)
            if self._is_ended:
                return
            try:
                frame = self._encode(seq, done.result())
            except CancelledError:
                frame = self._encode_error(seq, RuntimeError("the call was cancelled"))
            except BaseException as error:  # noqa: BLE001 - a future holds any; it is the caller's to hear of
                frame = self._encode_error(seq, error)
            try:
                self._outbox.send(frame)
            except ConnectionLost:
                return  # nobody is there to hear it

        future.add_done_callback(answer)

    # ---- answering ----

    def _send(self, frame: bytes) -> None:
        """Answer from the serving thread, which goes no faster than its peer."""
        self._outbox.send(frame)
        if self._flushers:
            self._join_flushers()

    def _start_flusher(self) -> None:
        """Let a thread wait for a slow peer, so that nobody waits who only completed a future for it."""
        flusher = make_thread(self._flush, f"{self._name}-flush")
        try:
            flusher.start()
        except RuntimeError as error:  # no more threads; half a frame may be written, so the stream cannot go on
            _log.error("%s: cut, because its replies cannot be sent: %s", self._name, error)
            self._channel.close()
        else:
            self._flushers.append(flusher)

    def _flush(self) -> None:
        try:
            self._outbox.flush()
        except ConnectionLost as error:
            _log.debug("%s: replies were not sent: %s", self._name, error)
            self._channel.close()

    def _join_flushers(self) -> None:
        while self._flushers:
            self._flushers.pop().join()

    def _encode(self, seq: int, result: Any) -> bytes:
        try:
            data = _REPLY + plain_codec.dump((seq, self._box(result)))
            self._channel.check_size(data)
        except Exception as error:  # noqa: BLE001 - values fail in many ways; each is the caller's to hear of
            return self._encode_error(seq, error)
        return data

    def _encode_error(self, seq: int, error: BaseException) -> bytes:
        return remote_errors.encode(seq, error, self._channel.max_frame_bytes, include_traceback=False)

    def _box(self, result: Any) -> messages.Package:
        if result is _ROOT:
            return consts.LABEL_REMOTE_REF, self._root_id
        if type(result) is _Method:
            return consts.LABEL_REMOTE_REF, self._method_ids[result.name]
        return consts.LABEL_VALUE, result

    # ---- what can be asked ----

    def _find_target(self, id_pack: Any) -> Any:
        try:
            return self._targets[id_pack]
        except (KeyError, TypeError):
            raise ReferenceError(f"no such object here: {id_pack!r}") from None

    def _find_handler(self, handler: Any) -> Callable[..., Any]:
        try:
            return self._handlers[handler]
        except (KeyError, TypeError):
            raise PermissionError(f"this side serves values only; it does not do request {handler!r}") from None

    def _get(self, target: Any, name: Any) -> Any:
        name = self._check_name(target, name)
        member = getattr(self._service, _PREFIX + name)
        return self._targets[self._method_ids[name]] if callable(member) else member

    def _call_attribute(self, target: Any, name: Any, args: Any, kwargs: Any = ()) -> Any:
        return getattr(self._service, _PREFIX + self._check_name(target, name))(*args, **dict(kwargs))

    def _call(self, target: Any, args: Any, kwargs: Any = ()) -> Any:
        if type(target) is not _Method:
            raise TypeError("only the service's methods can be called")
        return getattr(self._service, _PREFIX + target.name)(*args, **dict(kwargs))

    def _check_name(self, target: Any, name: Any) -> str:
        if type(name) is str and target is _ROOT:
            name = name.removeprefix(_PREFIX)
            if name in self._method_ids:
                return str(name)
        raise AttributeError(f"cannot access {name!r}")

    def _inspect(self, id_pack: Any) -> Any:
        return tuple((name, None) for name in self._list(self._find_target(id_pack)))

    def _list(self, target: Any) -> tuple[str, ...]:
        return tuple(self._names) if target is _ROOT else ("__call__",)

    def _describe(self, target: Any) -> str:
        name = self._root_id[0]
        return f"<{name}>" if target is _ROOT else f"<method {target.name} of {name}>"

    def _compare(self, target: Any, other: Any, operator: Any = "__cmp__") -> bool:
        if operator not in ("__eq__", "__ne__"):
            raise TypeError(f"{operator!r} is not supported")
        return (target == other) is (operator == "__eq__")


class CallReader:
    """Knows the calls that a `CallEncoder` writes by their bytes: all is the same but the number and the arguments.

    What is written otherwise, or makes no sense, is left to who reads any message.
    """

    def __init__(self, root_id: IdPack, methods: Iterable[str]) -> None:
        self._parts = CallEncoder(root_id)
        self._methods = frozenset(methods)

    def read(self, data: bytes | bytearray) -> tuple[Any, str, Any] | None:
        """The number, the method and the arguments of a call; None where it is not certain that it is one."""
        if not (isinstance(data, bytes) and data.startswith(_BEGIN)):
            return None
        before_method, before_arguments = self._parts.before_method, self._parts.before_arguments
        try:
            seq, at = plain_codec.load_from(data, len(_BEGIN))
            if not data.startswith(before_method, at):
                return None
            method, at = plain_codec.load_from(data, at + len(before_method))
            if not (type(method) is str and method in self._methods and data.startswith(before_arguments, at)):
                return None
            args, at = plain_codec.load_from(data, at + len(before_arguments))
        except Exception:  # noqa: BLE001 - the peer's bytes can fail in any way
            return None
        return (seq, method, args) if data.startswith(self._parts.end, at) else None


class _Method:
    """A reference to an exposed method, by name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is _Method and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


_ROOT: Final = object()


def _refuse(id_pack: IdPack) -> Any:
    raise TypeError(f"this side takes plain values only, not a reference to a {id_pack[0]}")
