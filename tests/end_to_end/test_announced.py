"""A kernel is found by a registry of RPyC's, if it is to be."""

import pytest
import rpyc
from rpyc.utils.factory import DiscoveryError
from rpyc.utils.registry import TCPRegistryClient, TCPRegistryServer

import rpyc_kernel
from rpyc_kernel import RequestError
from tests.end_to_end.clients import PATIENCE_S
from tests.hub.test_announcing import serve_registry
from tests.support.waiting import wait_until


def test_a_kernel_is_announced_from_its_start_to_its_stop_and_lets_nobody_in_for_that(folders):
    with serve_registry(TCPRegistryServer) as port:
        registry = TCPRegistryClient("127.0.0.1", port)
        kernel = rpyc_kernel.start("demo", engine="plain", announce=f"tcp://127.0.0.1:{port}", timeout=PATIENCE_S)
        with kernel:
            wait_until(lambda: registry.discover("demo"), PATIENCE_S)
            (info,) = rpyc_kernel.kernels()
            assert rpyc.discover("demo", registrar=registry) == (("127.0.0.1", info.port),)
            stranger = rpyc.connect_by_service("demo", registrar=registry)
            with pytest.raises(EOFError):
                _ = stranger.root
            kernel.shutdown()
        with pytest.raises(DiscoveryError):
            rpyc.discover("demo", registrar=registry)


def test_a_kernel_that_nobody_could_reach_is_not_started_to_be_announced(folders):
    with pytest.raises(RequestError, match="which only this machine can reach"):
        rpyc_kernel.start("demo", announce="broadcast")
    assert rpyc_kernel.kernels() == []
    assert not list(folders.state.iterdir())
