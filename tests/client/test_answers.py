"""What a hub answers is read with care."""

import pytest

from rpyc_kernel.client import answers
from rpyc_kernel.client.answers import read_queue
from rpyc_kernel.core import introspection, shapes
from rpyc_kernel.core.commands import COMMANDS


def page_of(*numbers):
    return tuple((("execution", number),) for number in numbers)


def test_a_page_of_the_queue_goes_on_behind_the_one_before():
    assert [item["execution"] for item in read_queue(page_of(3, 5), after=2)] == [3, 5]


@pytest.mark.parametrize("numbers", [(2,), (3, 3), (5, 3), ("3",)])
def test_a_page_of_the_queue_that_could_go_on_for_ever_is_refused(numbers):
    """A hub that repeats a page would be asked for the next one again and again."""
    with pytest.raises((ValueError, TypeError)):
        read_queue(page_of(*numbers), after=2)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_every_answer_of_the_table_can_be_read(command):
    kind = getattr(introspection, command.answer.name, None)
    assert (command.answer in answers._READS) != isinstance(kind, type)
    if command.answer is not shapes.NOTHING:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            answers.reader_of(command)("5" if command.by_worker else object())
