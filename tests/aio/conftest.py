"""Tests of what runs in a loop run in each of the two."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The loops."""
    return str(request.param)


@pytest.fixture(autouse=True)
def trio_ends_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trio keep the threads of calls no longer than the test."""
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 0.01)
