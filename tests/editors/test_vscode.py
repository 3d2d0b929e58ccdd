"""The VS Code extension: compiled, its session with a real kernel, and its side of VS Code in a stand-in."""

import json
from pathlib import Path

import pytest

from tests.clients.test_lab import browser_path as browser_path
from tests.end_to_end.terminals import COMMAND, ROOT
from tests.support.folders import Folders
from tests.support.node import run_node, skip_without

EXTENSION = ROOT / "editors" / "vscode"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's folder, compiled anew; with what its tests need."""
    skip_without(EXTENSION)
    done = run_node(EXTENSION, "node_modules/typescript/bin/tsc", "-p", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    return EXTENSION


@pytest.mark.parametrize("part", ["session", "extension"])
def test_the_extension_does_what_it_promises(part: str, compiled: Path, folders: Folders) -> None:
    options = ("--test", "--test-reporter=spec", f"test/{part}.test.mjs")
    done = run_node(compiled, *options, RPYC_KERNEL_COMMAND=json.dumps(COMMAND))
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_has_fewer_lines_than_a_protocol_that_is_wrong_would_take() -> None:
    assert sum(len(file.read_text().splitlines()) for file in EXTENSION.glob("src/*.ts")) < 400
    assert 'from "vscode"' not in (EXTENSION / "src" / "session.ts").read_text()


def test_its_page_shows_text_as_text_pictures_and_progress_and_runs_no_foreign_script(
    browser_path: str, tmp_path: Path
) -> None:
    from playwright.sync_api import sync_playwright

    media = EXTENSION / "media"
    policy = "default-src 'none'; img-src data:; style-src file: 'unsafe-inline'; script-src file:"
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<link rel="stylesheet" href="file://{media}/output.css"><main id="output"></main>'
        f'<script src="file://{media}/output.js"></script>'
    )
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="7"><title>ü</title></svg>'
    outputs = [
        {"kind": "code", "execution": 1, "who": "<b>bob</b>", "isOwn": False, "text": "draw()\n\n"},
        {"kind": "text", "execution": 1, "text": "<img src=x onerror=alert(1)>\n 10 %\r 50 %"},
        {"kind": "text", "execution": 1, "text": "\r\x1b[32m100 %\x1b[0m\n"},
        {"kind": "code", "execution": 2, "who": "ada", "isOwn": True, "text": "other"},
        {"kind": "text", "execution": 1, "text": "still the first\n"},
        {"kind": "data", "execution": 2, "mime": "image/svg+xml", "data": picture, "id": None, "isUpdate": False},
        {"kind": "data", "execution": 2, "mime": "text/plain", "data": "old", "id": "d", "isUpdate": False},
        {
            "kind": "data",
            "execution": 2,
            "mime": "text/html",
            "data": "<i>new</i><img src=x onerror='document.title=1'><script>document.title=2</script>",
            "id": "d",
            "isUpdate": True,
        },
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(page_file.as_uri())
        page.evaluate("outputs => window.postMessage(outputs, '*')", outputs)
        page.wait_for_selector("i")
        assert page.inner_text("#e1 header") == "[1] <b>bob</b>"
        assert page.inner_text("#e1 .text") == "<img src=x onerror=alert(1)>\n100 %\nstill the first\n"
        assert page.inner_text("#e2 .data:last-child i") == "new"
        assert page.locator("text=old").count() == 0
        assert page.wait_for_function("document.querySelector('#e2 img').naturalWidth") is not None
        assert page.title() == ""
        browser.close()
