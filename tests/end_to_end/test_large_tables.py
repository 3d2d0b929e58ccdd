"""A table of ten million rows is paged, sorted, filtered and edited where it is, while others work."""

import pytest

from rpyc_kernel import connect
from tests.support.waiting import in_thread

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 120
ROWS = 10_000_000
MAKE = f"""
import numpy, pandas
numbers = numpy.arange({ROWS}, dtype="int32")
frame = pandas.DataFrame({{name: (numbers * factor) % {ROWS} for name, factor in zip("abcdefgh", range(7, 23, 2))}})
del numbers
"""
PEAK = r"""
import re
def peak(): return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
open("/proc/self/clear_refs", "w").write("5")
before = peak()
"""


def test_ten_million_rows_are_sorted_without_a_copy_of_the_table_while_others_work(kernel):
    kernel.execute(MAKE + PEAK, timeout=DEADLINE_S)
    assert kernel.slice("frame", rows=(ROWS - 1, ROWS), timeout=DEADLINE_S).row_count == ROWS
    chosen = {"sort": [("a", "descending")], "filter": [("b", "<", ROWS // 2)]}
    sorting = in_thread(lambda: kernel.slice("frame", rows=(0, 2), **chosen, timeout=DEADLINE_S))
    with connect(kernel.name, name="another") as another:
        assert another.execute("6 * 7", timeout=DEADLINE_S).value == 42
        assert another.complete("numpy.lins", timeout=DEADLINE_S).matches == ("linspace",)
    cells = sorting.result(DEADLINE_S)
    kernel.slice("frame", rows=(0, 2), sort=[("a", "descending")], timeout=DEADLINE_S)
    used, size = kernel.eval("peak() - before, int(frame.memory_usage(index=False).sum())")
    assert used < size, "more memory was needed than for a copy of the table"
    assert cells.total_row_count == ROWS
    wanted = f"frame[frame.b < {ROWS // 2}].a.nlargest(2)"
    assert [int(row[0]) for row in cells.rows] == list(kernel.eval(f"tuple({wanted}.tolist())"))
    assert cells.positions == kernel.eval(f"tuple({wanted}.index.tolist())")
    kernel.set_variable("frame", -1, row=cells.positions[0], column="a", timeout=DEADLINE_S)
    assert kernel.slice("frame", rows=(0, 1), sort=["a"], timeout=DEADLINE_S).rows[0][0] == "-1"
