"""traffic.py KERNEL COUNT: use a kernel in every way, without pause, while Ctrl-C strikes COUNT times.

Says ``busy`` when it has begun, ``struck N`` for each KeyboardInterrupt, wherever it surfaced, and ``well`` at the end.
Whoever sends the signals waits for each to be told before sending the next. The work is checked as it goes on: a wrong
answer ends the program with a traceback.
"""

import itertools
import os
import sys

import rpyc_kernel

kernel_name, count = sys.argv[1], int(sys.argv[2])
TIMEOUT_S = 60

struck = told = done = 0
numbers = itertools.count()


def note_swallowed(unraisable) -> None:
    """In a finalizer Python only reports an interrupt; it counts, for nobody else will hear of it."""
    global struck
    if unraisable.exc_type is KeyboardInterrupt:
        struck += 1
    else:
        sys.__unraisablehook__(unraisable)


sys.unraisablehook = note_swallowed


def use(kernel: rpyc_kernel.KernelClient) -> None:
    number = next(numbers)
    run = kernel.execute(f"print('text', {number}); {number} * 2", timeout=TIMEOUT_S)
    assert (run.value, run.stdout) == (number * 2, f"text {number}\n"), (number, run.value, run.stdout)
    runs = [kernel.submit(f"({number}, {part})") for part in range(3)]
    for part, run in enumerate(runs):
        assert run.result(TIMEOUT_S) == (number, part), (number, part, run.result())
    status = kernel.status()
    assert (status["kernel"], status["generation"]) == (kernel_name, 1), status
    assert {variable.name for variable in kernel.variables(timeout=TIMEOUT_S)} >= {"table", "mark"}
    assert kernel.complete("tab", timeout=TIMEOUT_S).matches[0] == "table"
    kernel.namespace["mark"] = number
    assert kernel.namespace["mark"] == number
    assert list(kernel.namespace["table"]["rows"][1:]) == [2, 3]
    assert kernel.eval(f"{number} + 1") == number + 1
    assert list(kernel.namespace["table"]) == ["rows"]
    for event in itertools.islice(kernel.events(since=0, follow=False), 20):
        assert event.seq > 0
    for event in runs[-1].events(timeout=TIMEOUT_S):
        assert event.execution == runs[-1].id


with rpyc_kernel.connect(kernel_name, timeout=TIMEOUT_S) as kernel:
    kernel.execute("table = {'rows': [1, 2, 3]}; mark = None", timeout=TIMEOUT_S)
    os.write(1, b"busy\n")
    while told < count:
        try:
            # The next signal comes only when this one was told, so each surfaces in here, also between two rounds.
            while told < count:
                if told < struck:
                    told += 1
                    os.write(1, f"struck {told}\n".encode())
                else:
                    use(kernel)
                    done += 1
        except KeyboardInterrupt:
            struck += 1
    for _ in range(5):
        use(kernel)
    assert not kernel.is_closed
    print("well", done, flush=True)
