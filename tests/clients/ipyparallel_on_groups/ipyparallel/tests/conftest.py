"""The kernels that all tests share, and a shell of IPython for those that show errors in one."""

from collections.abc import Iterator

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell

import rpyc_kernel


@pytest.fixture(scope="session", autouse=True)
def kernels() -> Iterator[None]:
    """Two kernels."""
    with rpyc_kernel.group("view-{0..1}", start=True, engine="ipython") as group:
        yield
        group.shutdown()


@pytest.fixture(scope="module")
def ipython() -> TerminalInteractiveShell:
    """The shell of this process."""
    return TerminalInteractiveShell.instance()
