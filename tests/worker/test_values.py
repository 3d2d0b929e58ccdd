"""The values that a worker keeps: the last ones, and of calls those that nobody has read."""

import numpy
import pandas
import pytest

from rpyc_kernel.errors import NotAvailable
from rpyc_kernel.worker import values as values_module
from rpyc_kernel.worker.values import Values


def test_results_of_calls_are_kept_until_they_are_read():
    values = Values(2)
    for number in range(300):
        values.keep(number, [number])
    assert [values.of(number) for number in range(300)] == [[number] for number in range(300)]
    assert values.of(299) == [299]
    with pytest.raises(NotAvailable, match="nobody has read 1,000, up to 256 MB"):
        values.of(0)


def test_results_that_nobody_reads_are_let_go_when_there_are_too_many_of_them():
    values = Values(2)
    for number in range(1001):
        values.keep(number, [number])
    with pytest.raises(NotAvailable):
        values.of(0)
    assert values.of(1) == [1]


def test_results_that_nobody_reads_are_let_go_when_they_are_too_large_but_the_last_ones(monkeypatch):
    monkeypatch.setattr(values_module, "_UNREAD_BYTES", 5000)
    values = Values(2)
    for number in range(4):
        values.keep(number, [bytes(1000), "x" * 1000])
    for number in (0, 1):
        with pytest.raises(NotAvailable):
            values.of(number)
    assert len(values.of(2)) == 2
    values = Values(2)
    for number in range(4):
        values.keep(number, {"large": bytearray(10_000)})
    with pytest.raises(NotAvailable):
        values.of(1)
    assert [len(values.of(number)["large"]) for number in (2, 3)] == [10_000, 10_000]


@pytest.mark.parametrize("make", [numpy.zeros, lambda count: pandas.DataFrame({"x": numpy.zeros(count)})])
def test_arrays_and_tables_that_nobody_reads_are_let_go_by_what_they_take(make, monkeypatch):
    monkeypatch.setattr(values_module, "_UNREAD_BYTES", 25_000)
    values = Values(1)
    for number in range(4):
        values.keep(number, make(1000))
    with pytest.raises(NotAvailable):
        values.of(0)
    assert [len(values.of(number)) for number in (1, 2, 3)] == [1000] * 3


def test_a_result_that_cannot_say_what_it_takes_is_kept():
    class Odd:
        @property
        def nbytes(self):
            raise OSError

    values = Values(1)
    values.keep(1, odd := Odd())
    assert values.of(1) is odd
