"""What a registry of RPyC's is told, and when nobody could use it."""

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.wire.registry import Registry


@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("broadcast", Registry("255.255.255.255", 18811, False)),
        ("registry.example", Registry("registry.example", 18811, False)),
        ("10.0.0.7:99", Registry("10.0.0.7", 99, False)),
        ("tcp://registry.example", Registry("registry.example", 18811, True)),
        ("[fd00::7]:99", Registry("fd00::7", 99, False)),
        ("udp://[::1]", Registry("::1", 18811, False)),
    ],
)
def test_a_registry_is_named_by_its_address_or_by_no_one_in_particular(text, registry):
    assert Registry.parse(text) == registry


@pytest.mark.parametrize("text", ["", ":5", "host:port", "http://host", "tcp://", "host:70000", "tcp://host/path"])
def test_what_names_no_registry_is_refused(text):
    with pytest.raises(RequestError, match=r"is no registry; use 'broadcast', 'HOST\[:PORT\]' or"):
        Registry.parse(text)


def test_a_registry_that_rpyc_itself_cannot_speak_with_is_refused():
    with pytest.raises(RequestError, match="RPyC speaks TCP with registries by IPv4 alone; leave out tcp://"):
        Registry.parse("tcp://[fd00::7]:99")


@pytest.mark.parametrize("listening", ["127.0.0.1", "::1", "localhost"])
def test_nothing_is_announced_that_only_this_machine_can_reach_but_to_this_machine(listening):
    for text in ("broadcast", "registry.example", "tcp://10.0.0.7"):
        with pytest.raises(RequestError, match="which only this machine can reach; listen where others can"):
            Registry.parse(text).check_against(listening)
        Registry.parse(text).check_against("10.0.0.1")
    for text in ("127.0.0.1", "tcp://localhost:99", "udp://[::1]"):
        Registry.parse(text).check_against(listening)


def test_a_kernel_without_a_port_is_not_announced():
    with pytest.raises(RequestError, match="a kernel without a port cannot be announced"):
        Registry.parse("127.0.0.1").check_against("")
