"""The recipes for clients that have only RPyC, on another machine: by a tunnel, by `ssh_connect`, and by zerodeploy."""

import os
import sys

import pytest
import rpyc
from plumbum import SshMachine
from rpyc.utils.zerodeploy import DeployedServer

from tests.wire.peers import drop_stock

pytestmark = pytest.mark.shares_kernel
_TOOLS = ("uname", "mktemp", "mkdir", "rm", "chmod", "test", "ls", "env", "stat", "printf")
"""What plumbum asks of the other machine."""


@pytest.fixture
def machine(ssh_hosts):
    for tool in _TOOLS:
        ssh_hosts.alpha.add_program(tool, f'#!/bin/sh\nPATH=/usr/bin:/bin exec {tool} "$@"\n')
    configured = ["-F", str(ssh_hosts.config)]
    machine = SshMachine("alpha", ssh_opts=configured, scp_opts=configured)
    yield machine
    machine.close()


@pytest.fixture
def path(kernel, folders):
    """Where the kernel's socket is on the other machine."""
    return str(folders.runtime / "demo" / "objects.sock")


def test_a_stock_client_comes_by_a_tunnel_from_socket_to_socket(kernel, folders, machine, path):
    near = str(folders.runtime / "near.sock")
    with machine.tunnel(near, path, lhost=None, dhost=None):
        assert os.stat(near).st_mode & 0o077 == 0
        conn = rpyc.classic.unix_connect(near)
        conn.execute("here = []")
        conn.namespace["here"].append(conn.root.run("6 * 7"))
        conn.close()
    assert kernel.eval("here") == [42]


def test_a_stock_client_comes_by_ssh_connect(kernel, machine, path):
    class ToSocket:
        def tunnel(self, near_port, far_path):
            return machine.tunnel(near_port, far_path, dhost=None)

    conn = rpyc.classic.ssh_connect(ToSocket(), path)
    assert conn.root.run("6 * 7") == 42
    conn.close()


def test_a_stock_client_comes_by_a_server_that_zerodeploy_brings_there(kernel, machine, path):
    with DeployedServer(machine, python_executable=sys.executable) as server:
        there = server.classic_connect()
        conn = there.modules["rpyc.utils.classic"].unix_connect(path)
        conn.execute("there = [1]")
        conn.namespace["there"].append(2)
        assert conn.root.run("sum(there)") == 3
        conn.close()
        drop_stock(there)
    assert kernel.eval("there") == [1, 2]
