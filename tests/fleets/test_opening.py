"""What is refused before Dask is asked for anything."""

from __future__ import annotations

import sys

import pytest

import rpyc_kernel
from rpyc_kernel import RequestError


def test_where_dask_is_not_installed_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RequestError, match=r"which is not installed; .* -m pip install 'rpyc-kernel\[dask\]'"):
        rpyc_kernel.fleet("tcp://nowhere", 1)
