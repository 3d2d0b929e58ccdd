"""Ctrl-C in a client ends the wait of its user, and never harms the connection: what comes afterwards is right."""

import os
import random
import signal
import threading

import pytest

from rpyc_kernel import KernelClient
from tests.end_to_end.clients import StartClient

STRIKES = 100
LONGEST_PAUSE_S = 0.05


@pytest.mark.timeout(300)  # it is a hundred rounds, each as slow as the machine
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_client_under_traffic_survives_ctrl_c_at_any_moment(
    kernel: KernelClient, start_client: StartClient, seed: int
):
    client = start_client("traffic", "demo", STRIKES)
    client.hear("busy")
    moments = random.Random(seed)
    for number in range(1, STRIKES + 1):
        # Not a wait for anything: the moment is what is tested.
        threading.Event().wait(moments.random() * LONGEST_PAUSE_S)
        os.kill(client.pid, signal.SIGINT)
        assert int(client.hear("struck")) == number
    client.hear("well")
    assert client.wait() == 0
    assert kernel.execute("mark is not None").value is True
    assert kernel.status()["generation"] == 1
