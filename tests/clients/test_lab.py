"""JupyterLab in a browser, on our kernel: widgets, figures, and a page that is loaded anew while a cell runs."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, sync_playwright

from tests.end_to_end.notebooks import Open
from tests.end_to_end.test_jupyter_server import _TOKEN, Server

_PACKAGE = "chromium-headless-shell"
_BROWSERS = (_PACKAGE, "chromium", "chromium-browser", "google-chrome")
_CELLS = (
    "import ipywidgets\nipywidgets.interact(lambda n: print('squared:', n * n), n=(0, 9));",
    "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots(figsize=(4, 2))\n"
    "axes.plot([n * n for n in range(10)]);",
    "print('the last cell')",
)

_GATED = """
import pathlib, time
print("told before")
for gate, text in (({!r}, "told meanwhile"), ({!r}, "told afterwards")):
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
    print(text)
"""

_STATUS = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
_IS_CONNECTED = f"{_STATUS} === 'idle'"
_IS_BUSY = f"{_STATUS} === 'busy'"
_PATIENCE_S = 90.0  # a page takes half a minute where much else runs

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="session")
def browser_path() -> str:
    """A browser, installed if there is none."""
    found = _find_browser()
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update"], ["install", "-y", "--no-install-recommends", _PACKAGE]):
            subprocess.run(["apt-get", *command], check=False, capture_output=True)
        found = _find_browser()
    if found is None:
        pytest.skip(f"there is no browser and none can be installed: none of {', '.join(_BROWSERS)} is here")
    return found


def _find_browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


Lab = Callable[..., Page]


@pytest.fixture
def open_lab(browser_path: str, open_notebook: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """Shows a notebook with these cells in JupyterLab, on a page of the browser."""
    settings = tmp_path / "settings"
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(settings))
    console = settings / "@jupyterlab" / "console-extension" / "tracker.jupyterlab-settings"
    console.parent.mkdir(parents=True)
    console.write_text('{"showAllKernelActivity": true}')
    folder = tmp_path / "root"
    folder.mkdir()
    metadata = {"kernelspec": {"name": "rpyc_kernel", "language": "python", "display_name": "Python (rpyc_kernel)"}}
    server = Server(
        folder, "--ServerApp.jpserver_extensions={'jupyterlab': True}", "--LabApp.expose_app_in_browser=True"
    )
    with ExitStack() as closing:
        closing.callback(server.close)
        playwright = closing.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        closing.callback(browser.close)

        def open_page(*cells: str) -> Page:
            notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=metadata)
            nbformat.write(notebook, folder / "demo.ipynb")
            page = browser.new_page(viewport={"width": 1000, "height": 800})
            page.set_default_timeout(_PATIENCE_S * 1000)
            page.goto(f"http://127.0.0.1:{server.port}/lab/tree/demo.ipynb?token={_TOKEN}")
            page.wait_for_function(_IS_CONNECTED)
            return page

        yield open_page


def _command(page: Page, name: str) -> None:
    page.evaluate(f"void window.jupyterapp.commands.execute('{name}')")


def test_a_slider_moves_and_a_figure_shows(open_lab: Lab) -> None:
    page = open_lab(*_CELLS)
    _command(page, "notebook:run-all-cells")
    handle = page.wait_for_selector(".widget-slider .noUi-handle")
    page.wait_for_selector("text=squared: 16")
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=squared: 25")
    image = page.wait_for_selector(".jp-OutputArea-output img")
    assert (image.get_attribute("src") or "").startswith("data:image/png")
    target = os.environ.get("RPYC_KERNEL_SCREENSHOT")
    if target:
        page.screenshot(path=target)


def test_a_page_that_is_loaded_anew_shows_a_running_cell_in_a_console(open_lab: Lab, tmp_path: Path) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    page = open_lab(_GATED.format(*map(str, gates)))
    _command(page, "notebook:run-all-cells")
    page.wait_for_selector("text=told before")
    address = page.url
    page.goto("about:blank")
    gates[0].touch()
    page.goto(address)
    page.wait_for_function(_IS_BUSY)
    _command(page, "notebook:create-console")
    console = ".jp-CodeConsole .jp-OutputArea-output"
    page.wait_for_selector(f"{console}:has-text('told meanwhile')")
    gates[1].touch()
    page.wait_for_selector(f"{console}:has-text('told afterwards')")
    assert "told before" in page.inner_text(console)


def test_a_cell_stops_at_a_breakpoint_and_goes_on(open_lab: Lab) -> None:
    page = open_lab("a = 1\nb = a + 41\nprint('seen', b)")
    page.click(".jp-DebuggerBugButton:not([aria-disabled='true'])")
    page.wait_for_selector(".cm-breakpoint-gutter", state="attached")
    page.wait_for_function(_IS_CONNECTED)
    page.locator(".jp-Notebook .cm-breakpoint-gutter .cm-gutterElement:visible").nth(1).click(force=True)
    page.wait_for_selector(".jp-DebuggerBreakpoints-body .jp-DebuggerBreakpoint")
    _command(page, "notebook:run-all-cells")
    frame = page.wait_for_selector(".jp-DebuggerCallstack-body li")
    assert frame.inner_text().endswith("Cell [*]:2")
    page.wait_for_selector(".jp-DebuggerVariables-body >> text=a")
    assert not page.query_selector("text=seen 42")
    _command(page, "debugger:continue")
    page.wait_for_selector("text=seen 42")
