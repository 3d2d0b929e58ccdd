"""What ipyparallel's tests of its views use of it, done by a group: for `test_ipyparallel_views.py` alone."""

from ipyparallel.client import Client
from ipyparallel.references import Reference
from ipyparallel.results import AsyncHubResult, AsyncMapResult, AsyncResult
from ipyparallel.util import interactive

__all__ = ["AsyncHubResult", "AsyncMapResult", "AsyncResult", "Client", "Reference", "interactive"]
