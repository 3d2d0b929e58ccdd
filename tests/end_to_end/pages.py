"""Pages of ``rpyc-kernel web`` without a browser: what one gets over its socket, on an emulated terminal."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pyte
import pytest
import websocket

from tests.end_to_end.terminals import ENTER, PATIENCE_S
from tests.support.waiting import wait_until

COLUMNS, ROWS = 110, 30


def ask(address: str, path: str, **headers: str) -> http.client.HTTPResponse:
    """What is answered to a request, which names the right host if it does not say otherwise."""
    place = urlsplit(address)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=PATIENCE_S)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in {"Host": place.netloc, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def get_in(address: str) -> str:
    """The cookie for the token in the address."""
    return str(ask(address, f"/?{urlsplit(address).query}").getheader("Set-Cookie")).partition(";")[0]


class Page:
    """One open page.

    Attributes:
        is_closed: whether the server has closed it.
    """

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self.is_closed = False
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._socket = websocket.create_connection(
            f"ws://{place.netloc}/ws?width={COLUMNS}&height={ROWS}",
            cookie=get_in(address),
            origin=f"http://{place.netloc}",
            timeout=PATIENCE_S,
        )
        self._reading = threading.Thread(target=self._read, name="page")
        self._reading.start()

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def type(self, text: str) -> None:
        """Press keys."""
        self._socket.send(json.dumps(["stdin", text]))

    def enter(self, text: str) -> None:
        """Type a line, see it in the place for it, and press Enter."""
        self.type(text)
        self.wait_for(text)
        self.type(ENTER)

    def wait_for(self, words: str) -> None:
        """Wait until this is seen."""
        try:
            wait_until(lambda: words in self.text, PATIENCE_S)
        except AssertionError:
            raise AssertionError(f"there is no {words!r} on the page:\n{self.text}") from None

    def wait_until_ready(self) -> None:
        """Wait until it shows what the kernel does."""
        self.wait_for("| generation")

    def wait_until_closed(self) -> None:
        """Wait until the server has closed it."""
        wait_until(lambda: self.is_closed, PATIENCE_S, "the end of the page")

    def close(self) -> None:
        """Close it, as a browser does with its tab."""
        if not self.is_closed:
            self._socket.send_close()
        self._reading.join(PATIENCE_S)
        self._socket.shutdown()

    def _read(self) -> None:
        stream = pyte.ByteStream(self._screen)
        try:
            while (received := self._socket.recv_data())[0] != websocket.ABNF.OPCODE_CLOSE:
                if received[0] == websocket.ABNF.OPCODE_BINARY:
                    stream.feed(received[1])
        except (OSError, websocket.WebSocketException):
            pass  # so it ends where the server was killed
        self.is_closed = True


OpenPage = Callable[[str], Page]


@pytest.fixture
def open_page() -> Iterator[OpenPage]:
    """Opens pages, and closes them with the test."""
    with ExitStack() as opened:

        def open_one(address: str) -> Page:
            page = Page(address)
            opened.callback(page.close)
            return page

        yield open_one
