"""Clusters of Dask for tests: their folders are the test's own, and nothing of theirs listens beyond this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from tests.support.folders import Folders

Open = Callable[..., Client]


@contextmanager
def local_cluster(folder: Path, **options: Any) -> Iterator[Client]:
    """A client of a cluster of two workers with a thread each, in this process unless ``processes`` says otherwise."""
    usual = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": False,
        "protocol": "tcp://",
        "dashboard_address": "127.0.0.1:0",
    }
    with (
        dask.config.set({"temporary-directory": str(folder)}),
        LocalCluster(**{**usual, **options}, host="127.0.0.1") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def open_cluster(folders: Folders, tmp_path: Path) -> Iterator[Open]:
    """Opens one for this test."""
    with ExitStack() as opened:

        def open_one(**options: Any) -> Client:
            return opened.enter_context(local_cluster(tmp_path, **options))

        yield open_one
