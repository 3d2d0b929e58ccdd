"""``rpyc-kernel web``: a browser that has the address gets in, and nobody else."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import rpyc_kernel
from tests.clients.test_lab import browser_path as browser_path
from tests.end_to_end.commands import CommandProcess, run_command
from tests.end_to_end.pages import OpenPage, ask, get_in
from tests.end_to_end.terminals import ROOT
from tests.support.folders import Folders
from tests.support.processes import list_descendants, list_processes, read_command, suspended
from tests.support.sshd import Hosts
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
    process = start_command("web", "demo", "--engine", "plain")
    return process, process.read_line().strip()


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


def list_programs() -> set[int]:
    """The programs of all open pages."""
    return {
        process.pid
        for process in list_descendants()
        if not process.is_zombie and " -m rpyc_kernel screen " in read_command(process.pid)
    }


def are_gone(programs: set[int]) -> bool:
    return not programs & {process.pid for process in list_processes() if not process.is_zombie}


def is_free(address: str) -> bool:
    try:
        socket.create_server(("127.0.0.1", urlsplit(address).port or 0)).close()
    except OSError:
        return False
    return True


def test_each_page_is_a_session_that_sees_the_others_and_ends_alone(
    served: tuple[CommandProcess, str], open_page: OpenPage
) -> None:
    _, address = served
    one, other = open_page(address), open_page(address)
    one.wait_for("2 here")
    other.wait_for("2 here")
    one.enter("'mine'.upper()")
    one.wait_for("'MINE'")
    other.wait_for("Out [1]: 'MINE'")
    one.close()
    other.wait_for("1 here")
    other.enter("'yours'.upper()")
    other.wait_for("'YOURS'")


def test_a_signal_ends_all_pages_and_their_programs_and_frees_the_port(
    served: tuple[CommandProcess, str], open_page: OpenPage
) -> None:
    process, address = served
    pages = [open_page(address), open_page(address)]
    for page in pages:
        page.wait_until_ready()
    programs = list_programs()
    assert len(programs) == 2
    process.signal(signal.SIGHUP)
    assert process.wait() == (129, "", "")
    for page in pages:
        page.wait_until_closed()
    assert are_gone(programs)
    assert is_free(address)


def test_a_program_that_stands_still_does_not_keep_the_server_from_ending(
    served: tuple[CommandProcess, str], open_page: OpenPage
) -> None:
    process, address = served
    open_page(address).wait_until_ready()
    (program,) = list_programs()
    with suspended(program):
        process.signal(signal.SIGTERM)
        assert process.wait()[0] == 143
        assert is_free(address)
    wait_until(lambda: are_gone({program}), PATIENCE_S, "the end of the page's program")


def test_a_server_may_outlive_its_terminal_and_no_program_outlives_a_server_that_is_killed(
    folders: Folders, start_command: Callable[..., CommandProcess], open_page: OpenPage
) -> None:
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does, for what it starts
    try:
        process = start_command("web", "demo", "--engine", "plain")
    finally:
        signal.signal(signal.SIGHUP, earlier)
    address = process.read_line().strip()
    process.signal(signal.SIGHUP)
    open_page(address).wait_until_ready()
    programs = list_programs()
    process.signal(signal.SIGKILL)
    process.wait()
    assert len(programs) == 1
    wait_until(lambda: are_gone(programs), PATIENCE_S, "the end of the page's program")


def test_an_earlier_token_or_cookie_is_of_no_use_at_the_same_port(
    served: tuple[CommandProcess, str], start_command: Callable[..., CommandProcess]
) -> None:
    process, address = served
    cookie = get_in(address)
    process.signal(signal.SIGTERM)
    assert process.wait()[0] == 143
    again = start_command("web", "demo", "--port", str(urlsplit(address).port)).read_line().strip()
    assert urlsplit(again).netloc == urlsplit(address).netloc
    assert ask(again, f"/?{urlsplit(address).query}").status == 403
    assert ask(again, "/", Cookie=cookie).status == 403
    assert ask(again, "/", Cookie=get_in(again)).status == 200


def test_pages_that_look_on_can_run_nothing_and_say_so(
    folders: Folders, start_command: Callable[..., CommandProcess], open_page: OpenPage
) -> None:
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        page = open_page(start_command("web", "demo", "--read-only").read_line().strip())
        page.wait_for("read-only")
        page.enter("taken = 1")
        page.wait_for("it cannot execute code")
        kernel.execute("print('all can see this')")
        page.wait_for("all can see this")
        assert kernel.eval("'taken' in globals()") is False


def test_a_page_of_a_kernel_that_ends_says_so_and_so_does_the_next_one(
    folders: Folders, start_command: Callable[..., CommandProcess], open_page: OpenPage
) -> None:
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        address = start_command("web", "demo", "--read-only").read_line().strip()
        page = open_page(address)
        page.wait_until_ready()
        kernel.execute("print('this was there')")
        page.wait_for("this was there")
        kernel.shutdown(timeout=PATIENCE_S)
    for each in (page, open_page(address)):
        each.wait_for("kernel 'demo' is not running")
        each.wait_for("Reload the page to try again")
        assert not each.is_closed
    assert "this was there" in page.text
    wait_until(lambda: not list_programs(), PATIENCE_S, "the end of the pages' programs")


def test_a_page_shows_a_kernel_by_ssh(
    ssh_hosts: Hosts, folders: Folders, start_command: Callable[..., CommandProcess], open_page: OpenPage
) -> None:
    process = start_command("web", "ssh://alpha/demo", "--engine", "plain")
    page = open_page(process.read_line().strip())
    page.wait_for("demo on alpha")
    page.enter("import os; os.environ['HOME']")
    page.wait_for(str(ssh_hosts.alpha.home)[:40])
    programs = list_programs()
    process.signal(signal.SIGTERM)
    assert process.wait()[0] == 143
    wait_until(lambda: are_gone(programs), PATIENCE_S, "the end of the page's program")


def test_a_port_that_is_taken_is_told_of_before_a_kernel_is_started(folders: Folders) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_command("web", "demo", "--port", str(port))
    assert done.returncode == 2
    assert done.stderr == f"rpyc-kernel: port {port} cannot be used: Address already in use; choose another by --port\n"
    assert not list(folders.runtime.iterdir())


@pytest.mark.parametrize("missing", ["textual_serve", "textual"])
def test_without_the_extra_one_line_says_what_to_install(folders: Folders, tmp_path: Path, missing: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None\n")
    done = run_command("web", "demo", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 2
    assert f"{sys.executable} -m pip install 'rpyc-kernel[web]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(folders.runtime.iterdir())
