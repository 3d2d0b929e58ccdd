"""What tests of editors get on request: a file to open, and kernels, as the end-to-end tests have them."""

from pathlib import Path

import pytest

from tests.end_to_end.kernels import demo, engine, folders, kernel, shared_kernel, shared_kernels  # noqa: F401 - fixtures

CODE = """\
# %% first
numbers = [1, 2, 3]
print("sum", sum(numbers))
# %% second
name = input("who? ")
# %% third
1 / 0
"""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A file with cells."""
    file = tmp_path / "cells.py"
    file.write_text(CODE)
    return file
