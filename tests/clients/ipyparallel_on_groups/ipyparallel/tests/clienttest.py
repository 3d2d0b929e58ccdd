"""What ipyparallel's tests of its views have in common, for a group of kernels."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import ipyparallel
from ipyparallel import error


def conditional_crash(condition: bool) -> None:
    """End the process, if told to."""
    if condition:
        os._exit(1)


def wait(seconds: float) -> float:
    """Sleep."""
    time.sleep(seconds)
    return seconds


def skip_without(*names: str) -> Callable[[Any], Any]:
    """Skip a test where a module is missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"there is no {', '.join(missing)}")


@contextmanager
def raises_remote(kind: type[Exception]) -> Iterator[None]:
    """Expect this of a kernel."""
    with pytest.raises(error.RemoteError) as raised:
        yield
    assert {each.ename for each in getattr(raised.value, "errors", [raised.value])} == {kind.__name__}


class ClusterTestCase:
    """A client for each test, and empty namespaces."""

    def setup_method(self) -> None:
        """Connect."""
        self.client = ipyparallel.Client()
        self.client.clear()

    def teardown_method(self) -> None:
        """Leave."""
        self.client.wait(timeout=10)
        self.client.close()

    def add_engines(self, count: int = 1) -> None:
        """There are two from the beginning."""

    minimum_engines = add_engines

    def fail(self, reason: str) -> None:
        """Fail."""
        pytest.fail(reason)
