"""A worker in an environment that has nothing of the kernel's: it works, and its user code has that environment."""

import os
import subprocess
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, RequestError
from rpyc_kernel.system import bundle_cache
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders
from tests.support.interpreters import need_python

LOOK = """
import subprocess, sys
import plumbum, rpyc
command = [sys.executable, "-c", "import sys; print(sys.path); import rpyc"]
child = subprocess.run(command, capture_output=True, text=True)
sys.path[-1], plumbum.__file__, rpyc.__file__, sys.dont_write_bytecode, child.stdout, child.stderr.splitlines()[-1]
"""
DEFINE = """
import collections
class Point:
    x = 3
def double(number): return number * 2
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: each version adds its own bytecode."""
    return tmp_path_factory.mktemp("cache")


def make_environment(path: Path, version: str) -> tuple[str, Path]:
    """An environment without packages: its interpreter, and where its packages would be."""
    subprocess.run([need_python(version), "-m", "venv", "--without-pip", path], check=True)
    return str(path / "bin" / "python"), next(path.glob("lib/python*/site-packages"))


def run(kernel: KernelClient, code: str) -> object:
    return kernel.execute(code, timeout=PATIENCE_S).value


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13", "3.14"])
def test_an_environment_with_only_its_own_packages_has_a_kernel(
    folders: Folders, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # as in many images of containers
    monkeypatch.chdir(tmp_path)
    python, packages = make_environment(tmp_path / "env", version)
    (packages / "plumbum.py").write_text("")  # the environment's own of a name that the bundle has
    with rpyc_kernel.start("demo", python=python, timeout=PATIENCE_S) as kernel:
        bundle, plumbum, rpyc, writes_none, children_path, children_error = run(kernel, LOOK)
        assert Path(bundle).parent == cache / "rpyc_kernel" / "bundles"
        assert (plumbum, rpyc) == (str(packages / "plumbum.py"), f"{bundle}/rpyc/__init__.py")
        assert bundle not in children_path
        assert children_error == "ModuleNotFoundError: No module named 'rpyc'"
        assert writes_none
        assert [
            *Path(bundle, "rpyc_kernel/worker").glob(f"__pycache__/main_loop.cpython-{version.replace('.', '')}.pyc")
        ]

        run(kernel, DEFINE)
        assert kernel.namespace["Point"]().x == 3
        assert kernel.namespace["double"](21) == 42
        kernel.push(data=b"1" * 100_000)
        assert kernel.pull("data") == b"1" * 100_000
        assert "OrderedDict" in [item.text for item in kernel.complete("collections.Ordered").items]
        with pytest.raises(RequestError, match="has no debugpy; install it there"):
            kernel.open_debugger()
        kernel.restart()
        assert run(kernel, "import sys; sys.version_info[:2]") == tuple(map(int, version.split(".")))
        os.utime(f"{bundle}/__main__.py", (0, 0))
        assert bundle_cache._is_used(f"{bundle}/__main__.py")  # as long as this kernel lives
        kernel.shutdown(timeout=PATIENCE_S)
