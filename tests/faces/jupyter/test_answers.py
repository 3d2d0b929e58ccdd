"""What the bridge says of a kernel."""

from typing import Any

import pytest
from packaging.version import Version

import rpyc_kernel
from rpyc_kernel.faces.jupyter.answers import describe_kernel

_STATUS: dict[str, Any] = {"state": "idle", "engine": "ipython", "python": "3.11.7", "debugger": ""}


def _describe(*, is_own: bool) -> dict[str, Any]:
    return describe_kernel("demo", _STATUS, is_own=is_own)


@pytest.mark.parametrize(("is_own", "said"), [(True, "its own kernel"), (False, "the shared kernel")])
def test_the_banner_tells_whose_kernel_it_is(is_own: bool, said: str) -> None:
    assert _describe(is_own=is_own)["banner"] == f"Python 3.11.7 in {said} 'demo'"


def test_the_version_is_no_older_than_what_clients_ask_for_and_tells_ours() -> None:
    told = Version(_describe(is_own=True)["implementation_version"])
    assert told >= Version("2.1")
    assert str(told.local).endswith(rpyc_kernel.__version__)
