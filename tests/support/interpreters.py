"""The Pythons of this machine, for tests of what is brought to another one."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MANAGED = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@functools.cache
def find_python(version: str) -> str | None:
    """An interpreter of a version, such as ``3.12`` or ``2``."""
    managed = sorted(_MANAGED.glob(f"{version}.*/bin/python"))
    for found in (shutil.which(f"python{version}"), *map(str, managed)):
        if found is not None and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
            return found
    return None


def need_python(version: str) -> str:
    """The same; a test that needs one that is not here is skipped."""
    found = find_python(version)
    if found is None:
        pytest.skip(f"there is no Python {version} on this machine")
    return found
