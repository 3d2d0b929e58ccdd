"""Interrupts around the ends of executions and of the embedding: none strikes the program, which ends as ever.

EMBEDDING_INTERRUPTS is how many in each mode, 25 if not told otherwise.
"""

import os
import random
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelError
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.test_embedding import join
from tests.support.waiting import in_thread, wait_until

PROGRAM = Path(__file__).parent / "programs" / "embedding_struck.py"
INTERRUPTS = int(os.environ.get("EMBEDDING_INTERRUPTS", "25"))
CODE = ("1", "sum(range(3000))", "import time; time.sleep({})", "import asyncio; await asyncio.sleep({})", "print('.')")
LONGEST_S = 0.004


def strike(rounds: int, chance: random.Random) -> set[str]:
    """Interrupt executions about when they end, the last one while the kernel is stopped; what has come of them."""
    outcomes = set()
    with join() as client, rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        pause = threading.Event()
        for _ in range(rounds):
            run = client.submit(chance.choice(CODE).format(chance.random() * LONGEST_S))
            pause.wait(chance.random() * LONGEST_S)
            outcomes.add(other.interrupt(run.id).status)
            run.exception(timeout=PATIENCE_S)
        assert client.execute("6 * 7").value == 42
        run = client.submit("while True: pass")
        wait_until(lambda: client.status()["busy_since"] is not None)
        stopping = in_thread(client.shutdown)
        pause.wait(chance.random() * LONGEST_S)
        with suppress(KernelError):  # the end was faster
            other.interrupt(run.id)
        stopping.result(PATIENCE_S)
    return outcomes


@pytest.mark.parametrize("main", ["block", "thread", "loop", "poll"])
def test_interrupts_that_come_late_strike_nothing_of_the_program(folders: object, main: str) -> None:
    command = [sys.executable, str(PROGRAM), main]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            outcomes = strike(INTERRUPTS, random.Random(main))
            assert program.communicate(timeout=PATIENCE_S) == ("goes on\n", "")
            assert program.returncode == 3
        finally:
            program.kill()
    assert outcomes <= {"stopped", "not-running"}
