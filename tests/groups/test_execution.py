"""What is tried again, and what is not."""

from rpyc_kernel.core.contract import CALL_IS_GONE
from rpyc_kernel.errors import CallTimeout, ExecutionDropped, ExecutionError, KernelDied
from rpyc_kernel.groups.execution import _is_lost


def test_what_was_lost_is_the_kernels_and_never_the_codes():
    gone = ExecutionError("NotAvailable", f"{CALL_IS_GONE}; hand it in again", "")
    of_the_code = ExecutionError("NotAvailable", "no rows", ""), ExecutionError("KernelDied", CALL_IS_GONE, "")
    assert all(map(_is_lost, (gone, KernelDied("it died", "killed", 1), CallTimeout("late"))))
    assert not any(map(_is_lost, (*of_the_code, ExecutionDropped("it was cancelled", "cancelled", 1))))
