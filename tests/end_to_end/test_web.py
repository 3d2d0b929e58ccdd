"""``rpyc-kernel web``: a browser that has the address gets in, and nobody else."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rpyc_kernel
from tests.clients.test_lab import browser_path as browser_path
from tests.end_to_end.commands import CommandProcess
from tests.support.folders import Folders
from tests.support.waiting import wait_until

PATIENCE_S = 60
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}

pytestmark = pytest.mark.skipif(find_spec("textual_serve") is None, reason="textual-serve is not installed")


@pytest.fixture
def served(folders: Folders, start_command: Callable[..., CommandProcess]) -> tuple[CommandProcess, str]:
    process = start_command("web", "demo")
    return process, process.read_line().strip()


def ask(address: str, path: str, **headers: str) -> http.client.HTTPResponse:
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


def test_nobody_gets_in_without_the_token(served: tuple[CommandProcess, str]) -> None:
    process, address = served
    place = urlsplit(address)
    origin = f"http://{place.netloc}"
    for path in ("/", "/?token=", "/?token=wrong", "/static/js/textual.js", "/ws", "/download/x", "/nowhere"):
        assert ask(address, path).status == 403, path
    assert ask(address, "/ws", Origin=origin, **UPGRADE).status == 403
    with_token = f"/?{place.query}"
    assert ask(address, with_token, Host="evil.example").status == 403
    assert ask(address, with_token, Host=f"evil.example:{place.port}").status == 403

    let_in = ask(address, with_token)
    cookie = str(let_in.getheader("Set-Cookie"))
    assert (let_in.status, let_in.getheader("Location")) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert place.query.split("=")[1] not in cookie
    cookie = cookie.partition(";")[0]
    assert ask(address, "/", Cookie=cookie).status == 200
    assert ask(address, "/", Cookie=cookie, Host=f"evil.example:{place.port}").status == 403
    assert ask(address, "/ws", Cookie=cookie, **UPGRADE).status == 403
    assert ask(address, "/ws", Cookie=cookie, Origin="http://evil.example", **UPGRADE).status == 403
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static//etc/passwd"):
        assert ask(address, path, Cookie=cookie).status in (403, 404), path

    process.signal(signal.SIGINT)
    assert process.wait()[0] == 130
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        assert kernel.eval("1") == 1


def test_a_browser_joins_by_the_address_and_its_program_ends_with_its_page(
    served: tuple[CommandProcess, str], browser_path: str, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    process, address = served
    with (
        rpyc_kernel.connect("demo", timeout=PATIENCE_S, name="watcher") as kernel,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"]) as browser,
    ):

        def others() -> int:
            return sum(bool(each["connections"]) for each in kernel.sessions()) - 1

        page = browser.new_page(viewport={"width": 1200, "height": 760})
        page.goto(address)
        assert "token" not in page.url
        wait_until(lambda: others() == 1, PATIENCE_S, "the page's program")
        page.locator("body.-first-byte").wait_for(timeout=PATIENCE_S * 1000)
        page.locator("textarea.xterm-helper-textarea").focus()
        page.keyboard.type("answer = 6 * 7; answer")
        page.keyboard.press("Enter")
        wait_until(lambda: "answer" in [each.name for each in kernel.variables()], PATIENCE_S, "what was typed")
        assert kernel.eval("answer") == 42
        page.screenshot(path=tmp_path / "web.png")
        page.close()
        wait_until(lambda: others() == 0, PATIENCE_S, "the end of the page's program")
    process.signal(signal.SIGINT)
    assert process.wait()[0] == 130
