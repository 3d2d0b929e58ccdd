"""What the tests of the documentation get on request: patience, and one kernel for all that need no other."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.client.introspection import Introspection
from tests.support.folders import temporary_folders

_PATIENCE_S = 60.0


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises what the pages leave at its default, and a slow machine may exceed."""
    methods = [*vars(KernelClient).values(), *vars(Introspection).values()]
    for function in map(inspect.unwrap, (rpyc_kernel.start, rpyc_kernel.connect, *methods)):
        for name in {"timeout", "wait"} & (getattr(function, "__kwdefaults__", None) or {}).keys():
            if isinstance(function.__kwdefaults__[name], float):
                monkeypatch.setitem(function.__kwdefaults__, name, _PATIENCE_S)


@pytest.fixture(scope="module")
def demo() -> Iterator[None]:
    """A kernel named 'demo', which the tests of a module have one after the other."""
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        rpyc_kernel.start("demo", timeout=_PATIENCE_S).close()
        yield


@pytest.fixture
def kernel(demo: None, patience: None) -> Iterator[KernelClient]:
    """A client of that kernel."""
    with rpyc_kernel.connect("demo") as client:
        yield client
