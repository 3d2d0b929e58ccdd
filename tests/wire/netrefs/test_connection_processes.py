"""What becomes of a connection when its process forks or ends."""

import os
import subprocess
import sys

import pytest

from rpyc_kernel.errors import ConnectionLost
from tests.support.waiting import wait_until
from tests.wire.peers import DEADLINE_S, our_pair
from tests.wire.services import Workshop

FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def in_fork(action):
    """What the action says in a forked child, an empty text if it says nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(action()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading) as said:
        return said.read()


@FORKS
def test_a_forked_child_can_neither_use_nor_end_its_parents_connection():
    with our_pair(Workshop()) as (client, server):
        client.root.execute("class Thing: pass")
        thing = client.root.eval("Thing()")

        def misuse():
            nonlocal thing
            try:
                client.ping()
            except ConnectionLost as error:
                said = str(error)
            del thing
            client.close()
            return said

        wait_until(lambda: len(server._local_objects) == 2)  # the root and the thing
        assert "not to this fork" in in_fork(misuse)
        client.ping(timeout=DEADLINE_S)
        assert len(server._local_objects) == 2
        assert not client.closed
        del thing
        wait_until(lambda: len(server._local_objects) == 1)


ENDING = """
import socket, sys
import rpyc
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG, connect_peer

near, far = socket.socketpair()
server = connect_peer(far, rpyc.SlaveService, name="server", config=WORKER_CONFIG)
client = connect_peer(near, rpyc.VoidService, name="client", config=CLIENT_CONFIG)
client.root.execute("class Thing: pass")
things = [client.root.eval("Thing()") for _ in range(10)]
future = rpyc.async_(client.root.eval)("__import__('time').sleep(60)")
print("done")
"""


def test_a_process_ends_without_closing_its_connections():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ended = subprocess.run(
        [sys.executable, "-c", ENDING], cwd=root, capture_output=True, text=True, timeout=90, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
