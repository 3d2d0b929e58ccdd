"""What is done to modules that user code imports later."""

import importlib
import sys
import threading
from importlib.machinery import SourceFileLoader

import pytest

from rpyc_kernel.worker import imports


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of modules; they are forgotten, and so is who waits for them."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("awaited_module", "other_module", "kernels_module"):
        sys.modules.pop(name, None)


def test_a_function_is_called_with_the_module_once_it_has_run(folder):
    (folder / "awaited_module.py").write_text("value = 1")
    (folder / "other_module.py").write_text("value = 2")
    seen = []
    imports.after({"awaited_module": lambda module: seen.append((module.__name__, module.value))})
    importlib.import_module("other_module")
    assert seen == []
    module = importlib.import_module("awaited_module")
    importlib.import_module("awaited_module")
    assert seen == [("awaited_module", 1)]
    assert type(module.__loader__) is type(module.__spec__.loader) is SourceFileLoader


def test_a_module_that_is_not_there_or_fails_is_an_error_as_without_us(folder):
    (folder / "awaited_module.py").write_text("1 / 0")
    seen = []
    imports.after({"awaited_module": seen.append, "absent_module": seen.append})
    with pytest.raises(ModuleNotFoundError, match="absent_module"):
        importlib.import_module("absent_module")
    with pytest.raises(ZeroDivisionError):
        importlib.import_module("awaited_module")
    assert seen == []


def test_a_file_is_never_older_than_the_search_for_its_module_before_it_was_written(folder):
    imports.note_times()
    for number in range(100):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("absent_module")
        file = folder / f"file_{number}"
        file.write_text("")
        assert file.stat().st_ctime_ns >= imports.sought_ns("absent_module")


@pytest.fixture
def kernels_folder(folder):
    """A folder in which the kernel's modules are, behind that of the user's."""
    kernels = folder / "of_the_kernel"
    kernels.mkdir()
    (folder / "awaited_module.py").write_text("owner = 'user'")
    (folder / "other_module.py").write_text("owner = 'user'")
    (kernels / "awaited_module.py").write_text("owner = 'kernel'")
    sys.path.append(str(kernels))
    imports.keep_path([str(kernels)])
    importlib.invalidate_caches()
    return kernels


def test_the_kernel_finds_its_own_modules_before_those_of_the_user(kernels_folder):
    with imports.for_kernel():
        assert importlib.import_module("awaited_module").owner == "kernel"


def test_what_a_module_of_the_kernel_imports_is_the_kernels_too(kernels_folder):
    (kernels_folder / "kernels_module.py").write_text("import awaited_module")
    importlib.invalidate_caches()
    with imports.for_kernel():
        assert importlib.import_module("kernels_module").awaited_module.owner == "kernel"


def test_the_kernel_finds_what_only_the_user_has(kernels_folder):
    with imports.for_kernel():
        assert importlib.import_module("other_module").owner == "user"


def test_user_code_finds_its_own_modules_first_also_while_the_kernel_imports(kernels_folder):
    found = []
    user = threading.Thread(target=lambda: found.append(importlib.import_module("awaited_module").owner))
    with imports.for_kernel():
        user.start()
        user.join()
    assert found == ["user"]


def test_user_code_finds_its_own_modules_first_when_the_kernel_has_imported(kernels_folder):
    with imports.for_kernel(), imports.for_kernel():
        pass
    assert importlib.import_module("awaited_module").owner == "user"
