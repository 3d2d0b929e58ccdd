"""The sockets by which an engine is connected to its controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq

from rpyc_kernel.errors import CallTimeout, RequestError
from rpyc_kernel.faces.jupyter.engine.controller import Controller
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.sockets import Sockets

_REGISTRATION_S = 10.0
_MISSED_BEATS = 3
"""A controller says how often it asks whether engines are there; after less than these, nothing is wrong."""
_PASSED_ON = {"is_broadcast": False, "is_coalescing": False, "original_msg_id": "", "label": None}
"""What the schedulers look for in the metadata of replies, as it came with the request."""
_UNMET = "UnmetDependency"
_DIED = "KernelDied"


class EngineChannels(Sockets):
    """Sockets that are connected to a controller, which has been told of the engine.

    Args:
        controller: where.
        wanted_id: the engine's number, if one is wanted; the controller may give another.
        patience_s: for how many seconds, at least, the controller may not be heard.

    Attributes:
        engine_id: its number.
        uuid: what the controller tells it from others by.

    Raises:
        CallTimeout: there is no answer to the registration.
        RequestError: it was refused.
    """

    def __init__(self, controller: Controller, wanted_id: int | None, patience_s: float) -> None:
        super().__init__(controller.key.encode(), controller.signature_scheme)
        self._controller = controller
        self.uuid = self._messages.session
        self._named = {"engine": self.uuid}
        self._own_keys = zmq.curve_keypair() if controller.server_key else None
        self._is_registered = False
        try:
            self._registrar = self._connect(zmq.DEALER, controller.url("registration"))
            told = self._register(wanted_id)
            self.engine_id = int(told["id"])
            self._is_registered = True
            self._topic = b"engine.%d." % self.engine_id
            self.silence_s = max(patience_s, _MISSED_BEATS * float(told["hb_period"]) / 1000)
            self._take_requests("control", self._connect(zmq.ROUTER, controller.url("control")))
            schedulers = controller.url("mux"), controller.url("task"), controller.broadcast_url(self.engine_id)
            self._take_requests("shell", self._connect(zmq.ROUTER, *schedulers))
            self._iopub = self._connect(zmq.PUB, controller.url("iopub"))
            self._pings = self._connect(zmq.SUB, controller.url("hb_ping"))
            self._pings.subscribe(b"")
            self._pongs = self._connect(zmq.DEALER, controller.url("hb_pong"))
        except BaseException:
            self.close()
            raise
        self._heard_s = self.waited_s
        self.listen(self._pings, self._beat)

    def _connect(self, kind: int, *urls: str) -> zmq.Socket[Any]:
        opened = self._open(kind)
        opened.identity = self.uuid.encode()
        if kind == zmq.ROUTER:
            opened.router_mandatory = 1  # says so when a scheduler is gone
        if self._own_keys is not None:
            opened.curve_serverkey = self._controller.server_key.encode()
            opened.curve_publickey, opened.curve_secretkey = self._own_keys
        for url in urls:
            opened.connect(url)
        return opened

    def _register(self, wanted_id: int | None) -> dict[str, Any]:
        content: dict[str, Any] = {"uuid": self.uuid}
        if wanted_id is not None:
            content["id"] = wanted_id
        self._send(self._registrar, [], "registration_request", content, None)
        where = f"the controller of {self._controller.path} at {self._controller.url('registration')}"
        if not self._registrar.poll(int(_REGISTRATION_S * 1000)):
            raise CallTimeout(
                f"{where} has not answered within {_REGISTRATION_S:g} s; it has ended, or does not listen for this "
                "machine, or has another key than the file"
            )
        told = self._messages.read("registration", self._registrar.recv_multipart()).content
        if told.get("status") != "ok":
            raise RequestError(f"{where} has refused the engine: {told.get('evalue')}")
        return told

    # ------------------------------------------------------------------ the controller

    def _beat(self) -> None:
        self._heard_s = self.waited_s
        self._pongs.send_multipart(self._pings.recv_multipart())

    @property
    def is_silent(self) -> bool:
        """Whether the controller has not been heard for as long as it may."""
        return self.waited_s - self._heard_s > self.silence_s

    # ------------------------------------------------------------------ sending

    def reply(
        self,
        request: Request,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Answer a request with what ipyparallel's clients and schedulers expect beside the answer."""
        passed_on = {name: request.metadata.get(name, default) for name, default in _PASSED_ON.items()}
        told = {**passed_on, "dependencies_met": content.get("ename") != _UNMET, **(metadata or {})}
        if content["status"] == "error":
            method = request.kind.removesuffix("_request")
            content = {**content, "engine_info": {**self._name_engine(), "method": method}}
            if content["ename"] == _DIED:
                content["ename"] = "EngineError"  # what they know
            told["engine_info"] = self._name_engine()
        super().reply(request, content, {**told, "status": content["status"]}, buffers)

    def _name_engine(self) -> dict[str, Any]:
        return {"engine_uuid": self.uuid, "engine_id": self.engine_id}

    def close(self) -> None:
        """Tell the controller that the engine leaves, and close all sockets."""
        if self._is_registered:
            self._is_registered = False
            self._send(self._registrar, [], "unregistration_request", {"id": self.engine_id}, None)
        super().close()
