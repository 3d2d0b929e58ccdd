"""What tests of widgets get on request."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.faces.qt.widgets import application, show  # noqa: F401 - fixtures
from tests.support.leaks import leaving_nothing

collect_ignore_glob = [] if find_spec("qtpy") is not None else ["test_*.py"]


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """As everywhere, but Qt keeps the threads it paints with, and what wakes them, for half a minute."""
    with leaving_nothing(spared="anon_inode:[eventfd]"):
        yield
