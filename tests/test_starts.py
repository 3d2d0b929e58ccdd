"""What the processes of a kernel load before they are of use: who opens a notebook waits for all of it.

Each list names what has been loaded there or might easily be, and is not needed: a module that comes back takes time
of every start. What a start needs, or what the packages that it needs bring themselves, does not stand here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.settings import SETTINGS_VARIABLE
from tests.support.folders import Folders

PATIENCE_S = 60.0
_TELL = """
import json, os, sys

def tell(*_, **__):
    print(json.dumps([*sys.modules]), flush=True)
    os._exit(0)

"""
_AT_NEXT_PROCESS = "from rpyc_kernel.system import processes\nprocesses.spawn_module = tell\n"

# Nobody's at the start: terminals, tests, networks, and what describes modules and systems.
_NEVER = {
    "IPython.terminal",
    "anyio",
    "curses",
    "debugpy",
    "doctest",
    "email",
    "http",
    "importlib.abc",
    "importlib.metadata",
    "jedi",
    "jupyter_client",
    "matplotlib",
    "multiprocessing",
    "numpy",
    "pandas",
    "parso",
    "platform",
    "platformdirs",
    "plumbum",
    "prompt_toolkit",
    "psutil",
    "rpyc_kernel.aio",
    "setuptools",
    "tempfile",
    "tornado",
    "unittest",
    "urllib.request",
    "uuid",
    "xml",
    "zmq.asyncio",
}
_RUNS_NO_CODE = {"IPython", "asyncio", "pdb", "pygments", "readline", "traitlets"}
_COMES_LATER = {
    "concurrent.futures",
    "ctypes",
    "datetime",
    "pickle",
    "rpyc",
    "rpyc_kernel.client.kernel",
    "rpyc_kernel.core.events",
    "rpyc_kernel.core.introspection",
    "secrets",
    "shutil",
    "sqlite3",
    "ssl",
    "zmq",
}


def _list_loaded(code: str, *arguments: str) -> set[str]:
    """The modules that code has loaded when it calls ``tell``."""
    command = [sys.executable, "-c", _TELL + code, *arguments]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S, cwd="/")
    return set(json.loads(told.stdout))


def _brought_by(*packages: str) -> set[str]:
    """What these load, in their releases that are here, and the interpreter itself in this environment."""
    return _list_loaded("".join(f"import {package}\n" for package in packages) + "tell()")


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the package found from elsewhere, too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))


def test_a_bridge_starts_its_hub_before_it_loads_what_it_speaks_with(folders: Folders, tmp_path: Path) -> None:
    file = tmp_path / "kernel-1.json"
    ports = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
    file.write_text(json.dumps(dict.fromkeys(ports, 1)))
    main = "from rpyc_kernel.faces.jupyter.__main__ import main\nmain(['-f', sys.argv[1]])"
    loaded = _list_loaded(_AT_NEXT_PROCESS + main, str(file))
    assert "rpyc_kernel.client.launch" in loaded
    assert (loaded - _brought_by()) & (_NEVER | _RUNS_NO_CODE | _COMES_LATER) == set()


def test_a_bridge_loads_nothing_that_it_does_not_need() -> None:
    loaded = _list_loaded("import rpyc_kernel.faces.jupyter.channels, rpyc_kernel.faces.jupyter.bridge\ntell()")
    assert (loaded - _brought_by("rpyc", "zmq")) & (_NEVER | _RUNS_NO_CODE) == set()


def test_the_package_alone_loads_nothing_of_its_own() -> None:
    loaded = {name for name in _list_loaded("import rpyc_kernel\ntell()") if name.startswith("rpyc_kernel")}
    assert loaded == {"rpyc_kernel"}


def test_a_hub_starts_its_worker_before_it_loads_what_it_works_with(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTINGS_VARIABLE, json.dumps({"hub": {"is_private": True}}))
    loaded = _list_loaded(_AT_NEXT_PROCESS + "from rpyc_kernel.hub.__main__ import main\nmain(['demo'])")
    assert "rpyc_kernel.hub.worker_process" in loaded
    assert (loaded - _brought_by()) & (
        _NEVER | _RUNS_NO_CODE | _COMES_LATER | {"dataclasses", "hashlib", "inspect", "logging"}
    ) == set()


def test_a_hub_loads_nothing_that_it_does_not_need() -> None:
    loaded = _list_loaded("import rpyc_kernel.hub.__main__, rpyc_kernel.hub.lifetime\ntell()")
    assert (loaded - _brought_by("rpyc")) & (_NEVER | _RUNS_NO_CODE) == set()
    assert "subprocess" in loaded  # there may be no descriptor left to load it when another worker is to be started


@pytest.mark.parametrize(
    ("engine", "packages", "others"),
    [
        ("plain", (), {"IPython", "hashlib", "pygments", "secrets", "sqlite3", "traitlets", "zipfile"}),
        ("ipython", ("IPython.core.interactiveshell", "IPython.core.debugger", "traitlets.config"), set()),
    ],
)
def test_a_worker_loads_nothing_that_it_does_not_need(engine: str, packages: tuple[str, ...], others: set[str]) -> None:
    start = f"import rpyc_kernel.worker.__main__ as worker\nworker.choose_engine({engine!r})\ntell()"
    unneeded = {"rpyc", "zmq", "rpyc_kernel.core.introspection", "rpyc_kernel.worker.introspection.answers"}
    unneeded |= {"rpyc_kernel.client", "rpyc_kernel.faces", "rpyc_kernel.groups"}  # magics for groups are not used yet
    assert (_list_loaded(start) - _brought_by(*packages)) & (_NEVER | unneeded | others) == set()


_OF_LIVE_OBJECTS = {"rpyc", "rpyc_kernel.wire.channel", "rpyc_kernel.wire.netrefs.connection", "ssl"}
_OF_LARGE_VALUES = {"pickle", "rpyc_kernel.wire.bulk.codec", "rpyc_kernel.wire.bulk.socket"}
_UNUSED_BY_CLIENTS = {
    *_OF_LIVE_OBJECTS,
    *_OF_LARGE_VALUES,
    "dataclasses",
    "datetime",
    "inspect",
    "pdb",
    "rpyc_kernel.core.events",
    "rpyc_kernel.core.introspection",
    "rpyc_kernel.core.kernel_state",
    "rpyc_kernel.wire.debug_adapter",
    "sqlite3",
    "subprocess",
}


def test_a_client_that_executes_loads_neither_rpyc_nor_what_large_values_need(folders: Folders) -> None:
    use = "import rpyc_kernel\nwith rpyc_kernel.connect('light') as kernel:\n    kernel.execute('1')\n    "
    with rpyc_kernel.start("light", engine="plain") as kernel:
        try:
            assert kernel.execute("import gc; gc.isenabled() and gc.get_freeze_count() > 10_000").value
            executes = _list_loaded(f"{use}kernel.submit('2').result(); list(kernel.events(follow=False)); tell()")
            looks = _list_loaded(f"{use}kernel.namespace['x'] = 1; tell()")
            copies = _list_loaded(f"{use}kernel.push(x=b'1'); tell()")
        finally:
            kernel.shutdown()
    assert (executes - _brought_by()) & (_NEVER | _RUNS_NO_CODE | _UNUSED_BY_CLIENTS) == set()
    assert looks >= _OF_LIVE_OBJECTS  # or the list would tell nothing
    assert copies >= _OF_LARGE_VALUES
