"""What a hub answers is read with care."""

import pytest

from rpyc_kernel.client.answers import read_queue


def page_of(*numbers):
    return tuple((("execution", number),) for number in numbers)


def test_a_page_of_the_queue_goes_on_behind_the_one_before():
    assert [item["execution"] for item in read_queue(page_of(3, 5), after=2)] == [3, 5]


@pytest.mark.parametrize("numbers", [(2,), (3, 3), (5, 3), ("3",)])
def test_a_page_of_the_queue_that_could_go_on_for_ever_is_refused(numbers):
    """A hub that repeats a page would be asked for the next one again and again."""
    with pytest.raises((ValueError, TypeError)):
        read_queue(page_of(*numbers), after=2)
