"""Whether a kernel goes on as if nothing had happened."""

from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient

DEADLINE_S = 60


@pytest.fixture
def goes_on(kernel: KernelClient) -> Iterator[None]:
    """After the test, the test's client and another one execute code; unless the test ended the kernel."""
    yield
    if not kernel.is_closed:
        assert_goes_on(kernel)


def assert_goes_on(kernel: KernelClient) -> None:
    execution = kernel.execute("print('still here'); 6 * 7", timeout=DEADLINE_S)
    assert (execution.stdout, execution.stderr, execution.value) == ("still here\n", "", 42)
    with rpyc_kernel.connect("demo", timeout=DEADLINE_S) as another:
        assert another.execute("'for others too'", timeout=DEADLINE_S).value == "for others too"
    status = kernel.status()
    assert (status["state"], status["queue"], status["prompts"]) == ("idle", [], [])
