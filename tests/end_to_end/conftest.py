"""A kernel of a test's own: real processes, in folders that go with the test."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient, KernelError
from tests.end_to_end.clients import PATIENCE_S, connect, start_client  # noqa: F401 - fixtures
from tests.end_to_end.commands import start_command  # noqa: F401 - a fixture
from tests.end_to_end.consoles import alice, bob, gated  # noqa: F401 - fixtures
from tests.end_to_end.notebooks import open_notebook, provisioner  # noqa: F401 - fixtures
from tests.end_to_end.terminals import open_terminal  # noqa: F401 - a fixture
from tests.support.folders import Folders


@pytest.fixture
def kernel(folders: Folders) -> Iterator[KernelClient]:
    """A client of a fresh kernel named 'demo'."""
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as client:
        yield client
        with suppress(KernelError):  # the test may have ended it
            client.shutdown(timeout=PATIENCE_S)
