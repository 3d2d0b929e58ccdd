"""Programs for node that a test runs, with the packages that their folder names."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 110


def skip_without(folder: Path) -> None:
    """Skip the test where node is not there, or not what a folder's programs need."""
    if shutil.which("node") is None:
        pytest.skip("there is no node here")
    if not (folder / "node_modules" / ".package-lock.json").exists():
        pytest.skip(f"its packages are not installed; do it with: npm ci --prefix {folder.relative_to(_ROOT)}")


def run_node(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in its folder."""
    return subprocess.run(
        ["node", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
