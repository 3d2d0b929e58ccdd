"""The bundle of what is installed here: the same packages make the same archive, and it is enough."""

import io
import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from rpyc_kernel.client import bundle
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system import bundle_cache
from tests.support.interpreters import need_python


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Path(bundle_cache.cache_folder())


def make_package(path: Path, **files: str) -> Path:
    (path / "mine").mkdir(parents=True)
    for name, text in {"__init__": "", **files}.items():
        (path / "mine" / name.replace("__init__", "__init__.py")).write_text(text)
    return path


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that is all of the bundle."""
    monkeypatch.setattr(bundle, "PACKAGES", ("mine",))
    monkeypatch.syspath_prepend(make_package(tmp_path / "site", data="1"))
    return tmp_path / "site" / "mine"


def test_a_bundle_holds_what_is_installed_but_no_bytecode(mine: Path) -> None:
    (mine / "__pycache__").mkdir()
    (mine / "__pycache__" / "x.cpython-311.pyc").write_text("")
    with zipfile.ZipFile(io.BytesIO(bundle.make_bundle().data)) as archive:
        assert archive.namelist() == ["mine/__init__.py", "mine/data", "__main__.py", bundle_cache.MANIFEST]
        sizes = json.loads(archive.read(bundle_cache.MANIFEST))
    assert sizes == {"mine/__init__.py": 0, "mine/data": 1, "__main__.py": len(bundle._MAIN)}


def test_the_same_packages_make_the_same_bundle(mine: Path, cache: Path) -> None:
    first = bundle.make_bundle()
    os.utime(mine / "data", (0, 0))
    assert bundle.make_bundle() == first
    (mine / "data").write_text("2")
    assert bundle.make_bundle() != first
    assert len([*cache.glob("*.zip")]) == 3  # each as it was found


def test_what_was_made_once_is_not_made_again(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bundle.make_bundle()
    monkeypatch.setattr(bundle, "_pack", lambda files: pytest.fail("it was made again"))
    assert bundle.make_bundle() == first


def test_a_cache_that_cannot_be_written_to_is_gone_without(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    made = bundle.make_bundle()
    assert made.data
    with pytest.raises(RequestError, match=r"the bundle cannot be stored in .*set XDG_CACHE_HOME"):
        bundle.unpack_bundle()


def test_what_is_not_pure_python_is_refused(mine: Path) -> None:
    (mine / "fast.cpython-311-x86_64-linux-gnu.so").write_text("")
    with pytest.raises(
        RequestError, match=r"fast.*\.so is compiled for this Python alone.*install mine as pure Python"
    ):
        bundle.make_bundle()


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "PACKAGES", ("no_such_package",))
    with pytest.raises(RequestError, match="no_such_package is not installed here"):
        bundle.make_bundle()


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13", "3.14"])
def test_the_command_line_needs_nothing_but_the_bundle(version: str, tmp_path: Path) -> None:
    places = {name: str(tmp_path) for name in ("RPYC_KERNEL_RUNTIME_DIR", "RPYC_KERNEL_STATE_DIR")}
    told = subprocess.run(
        [need_python(version), "-S", bundle.unpack_bundle(), "list", "--json"],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == []
