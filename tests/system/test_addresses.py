"""Which addresses lead to this machine alone."""

import pytest

from rpyc_kernel.system.addresses import bracket, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_what_only_this_machine_can_reach_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "", "192.0.2.7", "2001:db8::1", "::1:2", "gpu.example", "127.evil.example", "a\0b", "\ud800"],
)
def test_what_others_may_reach_is_not_taken_for_it(host):
    assert not is_loopback(host)


def test_an_address_in_front_of_a_port_can_be_told_from_it():
    assert [bracket(host) for host in ("::1", "127.0.0.1", "gpu.example")] == ["[::1]", "127.0.0.1", "gpu.example"]
