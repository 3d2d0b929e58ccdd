"""What one client of the server has open, and what its requests do."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from rpyc_kernel.client import launch
from rpyc_kernel.client.address import is_on_other_machine, is_place
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import RELEASE
from rpyc_kernel.errors import BadCode, KernelExists, NoSuchKernel, RequestError
from rpyc_kernel.faces.stdio import error_codes
from rpyc_kernel.faces.stdio.answers import describe
from rpyc_kernel.faces.stdio.error_codes import RpcError
from rpyc_kernel.faces.stdio.methods import METHODS, PREFIX, PROTOCOL, bind_command, read_params
from rpyc_kernel.faces.stdio.peer import Peer, Request
from rpyc_kernel.faces.stdio.served_debugger import ServedDebugger
from rpyc_kernel.faces.stdio.served_kernel import ServedKernel


class Server:
    """All that one client has.

    Args:
        reading: the descriptor to read from.
        writing: the descriptor to write to.
        address: the kernel that is there from the beginning, "" for none.
        defaults: what is said of this client to kernels, where its request does not: ``name``, ``session``, ``role``.
        key: what a client has to know, "" where it need not.
    """

    def __init__(
        self,
        reading: int,
        writing: int,
        address: str = "",
        *,
        defaults: dict[str, Any] | None = None,
        key: str = "",
    ) -> None:
        self._address = address
        self._defaults = {name: value for name, value in (defaults or {}).items() if value is not None}
        self._key = key
        self._kernels: dict[str, ServedKernel] = {}
        self._debuggers: dict[str, ServedDebugger] = {}
        self._numbers = itertools.count(1)
        self._first: asyncio.Task[Any] | None = None
        self._is_admitted = not key
        self._own: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
            "initialize": self._initialize,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "kernels": self._list_kernels,
            "events/subscribe": self._subscribe,
            "events/unsubscribe": self._unsubscribe,
            "events/data": self._read_data,
            "debug/open": self._open_debugger,
            "debug/send": self._send_to_debugger,
            "debug/close": self._close_debugger,
            "shutdown": self._shut_down,
        }
        self._peer = Peer(reading, writing, self._handle)

    async def run(self) -> None:
        """Serve until the client leaves or is gone; then leave its kernels, which go on."""
        try:
            await self._peer.wait_until_gone()
        finally:
            for kernel in self._kernels.values():
                kernel.is_leaving = True
            await self._peer.close()
            if self._first is not None:
                self._first.cancel()
                await asyncio.wait({self._first})
            for debugger in self._debuggers.values():
                await debugger.close()
            for kernel in self._kernels.values():
                await kernel.close()

    # ------------------------------------------------------------------ requests

    def _handle(self, request: Request) -> None:
        name, params = request.method, request.params
        method = METHODS.get(name)
        if method is None:
            raise RpcError(error_codes.NO_METHOD, f"there is no method {name[:100]!r}; serve --schema tells of all")
        if not self._is_admitted and name != "initialize":
            raise RpcError(error_codes.NOT_ADMITTED, "say who you are first: initialize with the key")
        own = self._own.get(name)
        try:
            if name.startswith(PREFIX):
                number = params.get("kernel")
                bound = bind_command(method, {each: value for each, value in params.items() if each != "kernel"})
            else:
                arguments = read_params(method, params)
        except BadCode:
            raise
        except RequestError as error:
            raise RpcError(error_codes.WRONG_PARAMETERS, str(error)) from None
        if name != "initialize":
            self._begin_first()
        if name.startswith(PREFIX):
            self._find_for(request, number, lambda kernel: kernel.pass_on(request, method, bound))
        elif own is None:
            self._run_code(request, **arguments)
        else:
            request.answer_by(own(**arguments))

    def _find_for(self, request: Request, number: Any, do: Callable[[ServedKernel], None]) -> None:
        """Do with a kernel what a request asks for: at once where it is there, and else once it is."""
        if self._first is None or self._first.done() or number is not None:
            do(self._find_known(number))
            return

        def go_on(_: asyncio.Future[Any]) -> None:
            if request.is_answered:  # as it was taken back
                return
            try:
                do(self._find_known(number))
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                request.refuse(error)

        self._first.add_done_callback(go_on)

    async def _find_kernel(self, number: Any) -> ServedKernel:
        if self._first is not None and number is None:
            await asyncio.shield(self._first)
        return self._find_known(number)

    def _find_known(self, number: Any) -> ServedKernel:
        if self._first is not None and number is None:
            self._first.result()
        if number is None:
            there = [each for each in self._kernels.values() if not each.is_over] or list(self._kernels.values())
            if len(there) == 1:
                return there[0]
        if isinstance(number, str) and number in self._kernels:
            return self._kernels[number]
        known = ", ".join(map(repr, self._kernels)) or "none"
        what = "there is no kernel" if number is None else f"there is no kernel {str(number)[:100]!r}"
        advice = "connect first" if not self._kernels else "name one by `kernel`"
        raise RpcError(error_codes.WRONG_PARAMETERS, f"{what}; connected are {known}: {advice}")

    # ------------------------------------------------------------------ kernels

    async def _initialize(self, client_name: str | None, key: str | None) -> dict[str, Any]:
        if not self._is_admitted:
            if not hmac.compare_digest((key or "").encode(), self._key.encode()):
                await asyncio.sleep(1.0)  # whoever guesses has time
                raise RpcError(error_codes.NOT_ADMITTED, "the key is not the one that the server has printed")
            self._is_admitted = True
        if client_name is not None:
            self._defaults.setdefault("name", client_name)
        self._begin_first()
        kernel = None if self._first is None else await asyncio.shield(self._first)
        return {"server": "rpyc-kernel", "version": RELEASE, "protocol": PROTOCOL, "kernel": kernel}

    def _begin_first(self) -> None:
        """Connect to the kernel that the command line names, when it is known who the client is."""
        if not self._address or self._first is not None:
            return
        self._first = asyncio.ensure_future(self._connect(self._address, start=True))
        self._first.add_done_callback(lambda first: first.cancelled() or first.exception())

    async def _connect(
        self,
        address: str,
        *,
        start: bool,
        python: str | None = None,
        engine: str | None = None,
        cwd: str | None = None,
        session: str | None = None,
        name: str | None = None,
        role: str | None = None,
        progress_token: str | None = None,
    ) -> dict[str, Any]:
        number = f"k{next(self._numbers)}"
        who = {"session": session, "name": name, "role": role}
        options = {**self._defaults, **{each: value for each, value in who.items() if value is not None}}
        settings: dict[str, Any] = {"python": python, "engine": engine, "cwd": cwd}
        loop = asyncio.get_running_loop()

        def tell_loss(words: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(self._tell_connection, number, words)

        def connect() -> KernelClient:
            try:
                return launch.connect(address, on_loss=tell_loss, **options)
            except NoSuchKernel:
                if not start or (is_place(address) and not is_on_other_machine(address)):
                    raise
            report(f"starting kernel {address}")
            with contextlib.suppress(KernelExists):  # somebody else has started it meanwhile
                launch.start(address, **{each: value for each, value in settings.items() if value is not None}).close()
            return launch.connect(address, on_loss=tell_loss, **options)

        def report(words: str) -> None:
            loop.call_soon_threadsafe(self._report, progress_token, "report", words)

        with self._reporting(progress_token, f"connecting to {address}"):
            client = await _in_thread(connect)
            kernel = self._kernels[number] = ServedKernel(client, number, self._peer)
            hello = await kernel.ask(commands.HELLO)
        told = ("session", "role", "came_first", "cursor", "last", "generation")
        return {
            "kernel": number,
            "name": client.name,
            "client_name": client.client_name,
            **{each: hello[each] for each in told},
        }

    def _tell_connection(self, number: str, words: str) -> None:
        if number in self._kernels:
            self._kernels[number].tell_connection(words)

    async def _disconnect(self, kernel: str | None) -> None:
        found = await self._find_kernel(kernel)
        number = next(number for number, each in self._kernels.items() if each is found)
        del self._kernels[number]
        await found.close()

    async def _list_kernels(self) -> Any:
        return describe(await asyncio.to_thread(launch.kernels))

    async def _shut_down(self) -> None:
        """Nothing has to be prepared."""

    # ------------------------------------------------------------------ code and events

    def _run_code(self, request: Request, *, kernel: str | None, progress_token: str | None, **options: Any) -> None:
        report = None
        if progress_token is not None:
            report = partial(self._report, progress_token, "report")
            request.on_answer = partial(self._report_end, progress_token)
            self._report(progress_token, "begin", "handed in")
        self._find_for(request, kernel, lambda found: found.run_code(request, report=report, **options))

    async def _subscribe(self, kernel: str | None, **arguments: Any) -> dict[str, Any]:
        return {"cursor": await (await self._find_kernel(kernel)).subscribe(**arguments)}

    async def _unsubscribe(self, kernel: str | None) -> None:
        await (await self._find_kernel(kernel)).unsubscribe()

    async def _read_data(self, kernel: str | None, **arguments: Any) -> dict[str, Any]:
        return await (await self._find_kernel(kernel)).read_data(**arguments)

    @contextlib.contextmanager
    def _reporting(self, token: str | None, begin: str) -> Iterator[None]:
        self._report(token, "begin", begin)
        is_done = False
        try:
            yield
            is_done = True
        finally:
            self._report_end(token, is_done)

    def _report_end(self, token: str | None, is_done: bool) -> None:
        self._report(token, "end", "done" if is_done else "failed")

    def _report(self, token: str | None, kind: str, message: str) -> None:
        if token is not None:
            self._peer.tell("$/progress", {"token": token, "value": {"kind": kind, "message": message}})

    # ------------------------------------------------------------------ debuggers

    async def _open_debugger(self, kernel: str | None) -> dict[str, Any]:
        found = await self._find_kernel(kernel)
        channel = await _in_thread(found.client.open_debugger)
        number = f"d{next(self._numbers)}"
        self._debuggers[number] = ServedDebugger(channel, number, self._peer)
        return {"debugger": number}

    def _find_debugger(self, number: str) -> ServedDebugger:
        if number not in self._debuggers:
            raise RpcError(
                error_codes.WRONG_PARAMETERS, f"there is no debugger {number[:100]!r}; open one by debug/open"
            )
        return self._debuggers[number]

    async def _send_to_debugger(self, debugger: str, message: dict[str, Any]) -> None:
        await self._find_debugger(debugger).send(message)

    async def _close_debugger(self, debugger: str) -> None:
        found = self._find_debugger(debugger)
        del self._debuggers[debugger]
        await found.close()


async def _in_thread(make: Callable[[], Any]) -> Any:
    """Make what is to be closed, off the loop; closes it where nobody waits for it any more."""
    making = asyncio.ensure_future(asyncio.to_thread(make))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_close_unwanted)
        raise


def _close_unwanted(made: asyncio.Future[Any]) -> None:
    if not made.cancelled() and made.exception() is None:
        asyncio.get_running_loop().run_in_executor(None, made.result().close)
