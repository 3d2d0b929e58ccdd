"""The worker's end of the bulk channel: one thread for each connection, beside the queue and the main thread."""

from __future__ import annotations

import functools
import itertools
import sys
from typing import Any

from rpyc_kernel.errors import ConnectionFailed, KernelError, RequestError
from rpyc_kernel.system.originals import logging, socket, threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire.bulk.codec import pack
from rpyc_kernel.wire.bulk.parts import LibraryMissing, Parcel
from rpyc_kernel.wire.bulk.socket import BulkSocket, Message, Outgoing, require_at_most
from rpyc_kernel.worker.chains import StepFailed, run_chain
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.functions import load, make_call
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.values import Values

_log = logging.getLogger(__name__)


class BulkConnections:
    """Serves bulk connections.

    Args:
        namespace: the namespace of user code.
        values: the last values.
        staged: calls that wait for their turn, and chains that were handed in by other connections.
    """

    def __init__(self, namespace: dict[str, Any], values: Values, staged: StagedCalls) -> None:
        self._namespace = namespace
        self._values = values
        self._staged = staged
        self._numbers = itertools.count(1)

    def add(self, sock: socket.socket) -> None:
        """Serve a client whose socket the hub handed over."""
        sock.settimeout(None)
        name = f"bulk-{next(self._numbers)}"
        make_thread(self._serve, name, (BulkSocket(sock),)).start()

    def _serve(self, client: BulkSocket) -> None:
        unkept: set[str] = set()  # calls that were staged, of which nobody has said that they are handed in
        try:
            while True:
                client.send(self._answer(client, client.receive(), unkept))
        except ConnectionFailed as error:
            _log.debug("%s ended: %s", threading.current_thread().name, error)
        except RequestError as error:
            _log.error("%s cut: %s", threading.current_thread().name, error)
        finally:
            client.close()
            for token in unkept:
                self._staged.drop(token)

    def _answer(self, client: BulkSocket, request: Message, unkept: set[str]) -> Outgoing:
        client.meet(request.head.get("pid"))
        try:
            if request.head.get("do") == "stage":
                token = self._stage(request)
                unkept.add(token)
                return client.encode({"done": True, "call": token})
            if request.head.get("do") == "keep":
                unkept.discard(str(request.head.get("call")))
                return client.encode({"done": True})
            return client.encode({"done": True}, self._do(request))
        except KernelError as failed:
            error = failed.seen_from_client(sys.executable) if isinstance(failed, LibraryMissing) else failed
            return client.encode({"done": False, "class": type(error).__name__, "message": str(error)})
        except StepFailed as failed:
            return client.encode({**_tell(failed.error), "place": failed.place})
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is an answer
            return client.encode(_tell(error))

    def _do(self, request: Message) -> Parcel | None:
        if request.head.get("do") == "pull":
            parcel = pack(self._find(request), allow_pickle=request.head["allow_pickle"])
            require_at_most(request.head.get("max_bytes"), sum(buffer.length for buffer in parcel.buffers))
            return parcel
        if request.head.get("do") == "push":
            # Whoever may push may run code: there is nothing that a pickle could do beyond that.
            self._namespace.update(self._open(request))
            return None
        raise RequestError(f"the bulk channel does not do {request.head.get('do')!r}")

    def _stage(self, request: Message) -> str:
        """Keep a call for the main thread; the token goes through the queue."""
        source, is_map = request.head.get("source"), bool(request.head.get("is_map"))
        return self._staged.add(make_call(self._open(request), source, self._namespace, is_map=is_map))

    def _open(self, request: Message) -> Any:
        python = request.head.get("python")
        return request.open(allow_pickle=True, load=functools.partial(load, namespace=self._namespace, python=python))

    def _find(self, request: Message) -> Any:
        if request.head.get("execution") is not None:
            return self._values.of(request.head["execution"])
        if request.head.get("call") is not None:
            return self._staged.take(request.head["call"])()
        if request.head["expression"] is None:
            return run_chain(self._open(request), (), self._namespace)
        return eval(compile(request.head["expression"], "<pull>", "eval"), self._namespace)  # noqa: S307 - running code is the purpose


def _tell(error: BaseException) -> dict[str, Any]:
    return {"done": False, "class": "", "raised": describe_error(error)}
