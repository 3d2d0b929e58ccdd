"""Fixtures of the tests of a worker's parts."""

from tests.worker.sessions import ipython, open_ipython, plain, session  # noqa: F401 - fixtures
