"""Workers that have lost their hub: they can be seen and ended at every moment of the next hub's start."""

import os
import signal
import threading

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.client import launch
from tests.end_to_end.clients import PATIENCE_S
from tests.support.processes import suspend
from tests.support.waiting import wait_until


def test_a_worker_that_is_being_taken_up_can_still_be_found(kernel: KernelClient) -> None:
    kernel.execute("1", timeout=PATIENCE_S)
    status = kernel.status()
    worker = status["worker_pid"]
    suspend(worker)  # so that it does not greet the next hub
    os.kill(status["hub_pid"], signal.SIGKILL)
    wait_until(lambda: rpyc_kernel.kernels()[0].state == "orphaned", PATIENCE_S, "the end of the hub")
    started: list[KernelClient] = []
    starting = threading.Thread(target=lambda: started.append(rpyc_kernel.start("demo", timeout=PATIENCE_S)))
    starting.start()
    wait_until(lambda: rpyc_kernel.kernels()[0].hub_pid != status["hub_pid"], PATIENCE_S, "the next hub")
    assert rpyc_kernel.kernels()[0].worker_pid is not None
    assert launch.kill_worker("demo")
    starting.join(PATIENCE_S)
    with started[0] as again:
        assert again.status()["worker_pid"] != worker
        again.shutdown(timeout=PATIENCE_S)
