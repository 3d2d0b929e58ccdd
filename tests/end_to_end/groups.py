"""Groups of kernels for tests: four small ones that the tests of a module have one after the other."""

from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import Group
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import temporary_folders

CREW = "crew-{0..3}"


@pytest.fixture(scope="module")
def crew_kernels() -> Iterator[None]:
    """Four kernels that run."""
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        rpyc_kernel.group(CREW, start=True, engine="plain", timeout=PATIENCE_S).close()
        yield


@pytest.fixture
def crew(crew_kernels: None) -> Iterator[Group]:
    """A group of the four, who remember what the test before has left."""
    with rpyc_kernel.group(CREW, timeout=PATIENCE_S) as group:
        yield group
