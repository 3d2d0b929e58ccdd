"""A namespace, and a reader of sources that is given the time it wants."""

from collections.abc import Iterator
from typing import Any

import pytest

from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer

PATIENCE_S = 60.0


@pytest.fixture
def namespace() -> dict[str, Any]:
    """One as user code has it."""
    return {"__builtins__": __builtins__, "__name__": "__main__"}


@pytest.fixture
def static(namespace: dict[str, Any]) -> Iterator[SourceAnalyzer]:
    """What jedi finds; how it is cut off has tests of its own."""
    reader = SourceAnalyzer(namespace, PATIENCE_S)
    yield reader
    reader.close()
