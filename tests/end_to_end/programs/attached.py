"""attached.py [FILE]: a program that knows nothing of kernels, works until `steps` is negative, and tells what is left.

With a FILE it does what Python 3.14 does by itself: on a signal, it runs the script whose path stands there.
"""

import os
import sys
import threading
import time
import warnings

steps = 0
forks = True


def run_script(*_):
    with open(sys.argv[1]) as file:
        path = file.read()
    try:
        with open(path) as file:
            exec(file.read(), {})
    except Exception as error:  # noqa: BLE001 - as Python does
        print("Error executing debugger script", path, repr(error), file=sys.stderr)


def fork():
    """Since Python 3.12 this warns where there are threads; this program has none."""
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 7


def surroundings():
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return (
        *streams,
        sys.path[:],
        sys.meta_path[:],
        os.environ.copy(),
        os.getcwd(),
        threading.Thread.start,
        sys.argv,
        warnings.filters[:],
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        import signal

        signal.signal(signal.SIGUSR2, run_script)
    before = surroundings()
    print("begins", flush=True)
    while steps >= 0:
        steps += 1
        if forks:
            fork()
        time.sleep(0.01)
    deadline = time.monotonic() + 30
    while (threading.active_count() > 1 or surroundings() != before) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
    changed = [place for place, (one, other) in enumerate(zip(before, surroundings(), strict=True)) if one != other]
    print("goes on", left, changed)
    sys.exit(3)
