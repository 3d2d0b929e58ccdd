"""RPyC's own registry hears of a kernel, and of its end."""

import logging
import socket
import threading
from contextlib import contextmanager

import pytest
import rpyc
from rpyc.utils.factory import DiscoveryError
from rpyc.utils.registry import TCPRegistryClient, TCPRegistryServer, UDPRegistryClient, UDPRegistryServer

from rpyc_kernel.hub import announcing
from rpyc_kernel.hub.announcing import Announcer
from rpyc_kernel.wire import registry
from rpyc_kernel.wire.registry import Registry
from tests.support.waiting import wait_until

PATIENCE_S = 30.0
_QUIET = logging.getLogger("tests.registry")


@contextmanager
def serve_registry(kind):
    server = kind("127.0.0.1", 0, logger=_QUIET)
    server.sock.settimeout(0.1)  # how long it takes to end
    thread = threading.Thread(target=server.start)
    thread.start()
    wait_until(lambda: server.active, PATIENCE_S)
    try:
        yield server.sock.getsockname()[1]
    finally:
        server.close()
        thread.join(PATIENCE_S)


@pytest.mark.parametrize(
    ("scheme", "kind", "client"),
    [("tcp", TCPRegistryServer, TCPRegistryClient), ("udp", UDPRegistryServer, UDPRegistryClient)],
)
def test_a_kernel_is_found_by_its_name_until_it_ends(scheme, kind, client, caplog):
    caplog.set_level(logging.INFO)
    with serve_registry(kind) as port:
        asking = client("127.0.0.1", port, logger=_QUIET)
        announcer = Announcer(Registry.parse(f"{scheme}://127.0.0.1:{port}"), "demo", 4711)
        announcer.start()
        wait_until(lambda: asking.discover("demo"), PATIENCE_S)
        assert rpyc.discover("DEMO", registrar=asking) == (("127.0.0.1", 4711),)
        assert rpyc.discover("kernel", registrar=asking) == (("127.0.0.1", 4711),)
        announcer.close()
        with pytest.raises(DiscoveryError):
            rpyc.discover("demo", registrar=asking)
    told = [record.message for record in caplog.records if record.name != _QUIET.name]
    assert told == ["announced as demo at port 4711 to the registry at 127.0.0.1"]  # and not each minute anew


def test_no_configuration_of_logging_reaches_what_rpyc_logs_each_time():
    known = logging.root.manager.loggerDict.values()
    assert registry._unheard.disabled
    assert all(registry._unheard is not each for each in known)


def test_a_registry_that_comes_later_hears_of_it_and_each_change_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(announcing, "_AGAIN_S", 0.0)
    caplog.set_level(logging.INFO)
    heard = []

    class Deaf:
        host = "nowhere"

        def register(self, name, port):
            heard.append((name, port))
            if len(heard) < 4:
                raise ConnectionRefusedError("nobody listens")
            return len(heard) > 6

        def unregister(self, port):
            raise ConnectionRefusedError("nobody listens")

    announcer = Announcer(Deaf(), "demo", 4711)
    announcer.start()
    wait_until(lambda: len(heard) > 10, PATIENCE_S)
    announcer.close()
    told = [record.message for record in caplog.records if record.name == announcing.__name__]
    assert told == [
        "the registry at nowhere does not take note of this kernel: nobody listens",
        "announced as demo at port 4711 to the registry at nowhere",
        "the registry at nowhere does not hear that this kernel ends: nobody listens",
    ]


def test_a_registry_that_says_nothing_holds_up_no_end():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        announcer = Announcer(Registry.parse(f"127.0.0.1:{silent.getsockname()[1]}"), "demo", 4711)
        announcer.start()
        assert b"REGISTER" in silent.recv(1000)
        announcer.close()
        assert not announcer._thread.is_alive()
