"""What every test gets: the search for leaks around it, and `folders` and `pytester` on request."""

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "pytester",
    "tests.support.imports",
    "tests.support.leaks",
    "tests.support.folders",
    "tests.support.sshd",
]

MARKERS = (
    "shares_kernel: the module's tests have one kernel, one after the other; see end_to_end/kernels.py",
    "own_kernel: but this test has one of its own",
)


def pytest_configure(config: pytest.Config) -> None:
    """Make our marks known."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Have garbage collected without looking at the thousands of tests, which stay: each time would take 0.2 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Where a shell has started the tests in the background, Ctrl-C is ignored, by every process that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same under nohup, or in a container whose first process ignores it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Messages then say 'rpyc-kernel', as they do where it is installed.
os.environ["PATH"] += f"{os.pathsep}{os.path.dirname(sys.executable)}"

# With this, C's own buffers are off as well, and nothing would show whether kernels see to what stands in there.
os.environ.pop("PYTHONUNBUFFERED", None)
