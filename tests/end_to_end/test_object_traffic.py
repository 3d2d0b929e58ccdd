"""Sixteen threads of one client, random traffic in both directions: nothing stands still, nothing is wrong,
nothing is left over.
"""

import gc
import os
import random
import threading
import time
from collections.abc import Callable

import numpy
import pytest

from rpyc_kernel import KernelClient
from tests.support.waiting import wait_until

THREADS = 16
DURATION_S = float(os.environ.get("TRAFFIC_S", "6"))
DEADLINE_S = 60
SEED = int(os.environ.get("TRAFFIC_SEED", "1"))

DEFINITIONS = """
import threading

class Node:
    def __init__(self, number): self.number = number
    def child(self, step): return Node(self.number + step)
    def apply(self, function): return function(self.number)
    def visit(self, function): return function(self)
    def fail(self): raise ValueError(self.number)

def down(depth, back): return 0 if depth == 0 else back(depth - 1, down)

def later(function, argument):
    threading.Thread(target=lambda: function(argument)).start()

def measure():
    gc = __import__('gc')
    gc.collect()
    return sum(type(thing) is Node for thing in gc.get_objects())
"""


class Traffic:
    """What one thread does; each step checks its own answer."""

    def __init__(self, kernel: KernelClient, seed: int) -> None:
        self.kernel = kernel
        self.random = random.Random(seed)
        self.steps: list[Callable[[int], None]] = [
            self.attribute, self.method, self.builtin, self.callback, self.callback_with_object, self.nested,
            self.background, self.exception, self.futures, self.cancelled, self.iterate, self.assign, self.bulk,
        ]  # fmt: skip
        self.make = kernel.namespace.Node
        self.done = 0

    def run(self, until: float) -> None:
        while time.monotonic() < until:
            self.random.choice(self.steps)(self.random.randrange(1_000_000))
            self.done += 1

    def attribute(self, number: int) -> None:
        assert self.make(number).number == number

    def method(self, number: int) -> None:
        assert self.make(number).child(1).child(2).number == number + 3

    def builtin(self, number: int) -> None:
        assert self.kernel.objects.builtins.divmod(number, 7) == divmod(number, 7)

    def callback(self, number: int) -> None:
        assert self.make(number).apply(lambda told: told * 2) == number * 2

    def callback_with_object(self, number: int) -> None:
        assert self.make(number).visit(lambda node: node.child(5).number) == number + 5

    def nested(self, number: int) -> None:
        depth = number % 12

        def back(left: int, go_on: Callable[..., int]) -> int:
            return 1 if left == 0 else go_on(left - 1, back) + 2

        expected = 0
        for left in range(1, depth + 1):
            expected = _expect(left)
        assert self.kernel.namespace.down(depth, back) == expected

    def background(self, number: int) -> None:
        heard = threading.Event()
        told = []
        self.kernel.namespace.later(lambda word: (told.append(word), heard.set()), number)
        assert heard.wait(DEADLINE_S)
        assert told == [number]

    def exception(self, number: int) -> None:
        with pytest.raises(ValueError, match=f"^{number}\\b"):
            self.make(number).fail()

    def futures(self, number: int) -> None:
        calls = [self.kernel.call_beside(self.make, number + step) for step in range(5)]
        assert [call.result(DEADLINE_S).number for call in calls] == [number + step for step in range(5)]

    def cancelled(self, number: int) -> None:
        self.kernel.call_beside(self.make, number).cancel()

    def iterate(self, number: int) -> None:
        count = number % 6
        assert list(self.kernel.eval(f"(step for step in range({count}))")) == list(range(count))

    def assign(self, number: int) -> None:
        name = f"name_{threading.get_ident()}"
        self.kernel.namespace[name] = number
        assert self.kernel.eval(name) == number

    def bulk(self, number: int) -> None:
        name = f"array_{threading.get_ident()}"
        self.kernel.push(**{name: numpy.full(number % 5000 + 1, number)})
        assert (self.kernel.pull(f"{name}[:100]") == number).all()


def _expect(depth: int) -> int:
    """What `nested` gives for a depth: the client's and the kernel's function take turns."""
    return 0 if depth == 0 else 1 if depth == 1 else _expect(depth - 2) + 2


@pytest.mark.timeout(DURATION_S + 5 * DEADLINE_S)
def test_random_traffic_of_many_threads(kernel: KernelClient):
    print(f"seed {SEED}, {DURATION_S:g} s")
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    measure = kernel.namespace.measure
    workers = [Traffic(kernel, SEED + number) for number in range(THREADS)]
    connection = kernel.objects
    failures: list[BaseException] = []
    until = time.monotonic() + DURATION_S

    def work(traffic: Traffic) -> None:
        try:
            traffic.run(until)
        except BaseException as failure:  # noqa: BLE001 - shown below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(traffic,)) for traffic in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DURATION_S + 2 * DEADLINE_S)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert all(traffic.done > 0 for traffic in workers)
    print(f"{sum(traffic.done for traffic in workers)} steps")
    assert kernel.objects is connection, "the connection broke"

    def is_clean() -> bool:
        gc.collect()
        return (measure(), len(connection._pending), len(connection._local_objects)) == (0, 0, 0)

    wait_until(is_clean, DEADLINE_S, "tables to be empty")
