"""In which order answers leave."""

from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.turns import Turns


class Waiting:
    """Turns, requests that wait on channels, and what was said."""

    def __init__(self, *channels: str) -> None:
        self.said: list[int] = []
        self._turns = Turns()
        # Equal to each other, as requests of one client with one header may be.
        self._requests = [
            Request(channel, [b"c"], {"msg_type": "x_request", "session": "s"}, {}) for channel in channels
        ]
        for request in self._requests:
            self._turns.enter(request)

    def answer(self, *numbers: int) -> None:
        """The answers to these requests are found, in this order."""
        for number in numbers:
            self._turns.answer(self._requests[number], lambda number=number: self.said.append(number))


def test_answers_leave_in_the_order_of_the_questions() -> None:
    waiting = Waiting("shell", "shell", "shell", "shell")
    waiting.answer(2, 1)
    assert waiting.said == []
    waiting.answer(0)
    assert waiting.said == [0, 1, 2]
    waiting.answer(3)
    assert waiting.said == [0, 1, 2, 3]


def test_a_slow_answer_holds_up_no_other_channel() -> None:
    waiting = Waiting("shell", "control", "shell")
    waiting.answer(1, 2)
    assert waiting.said == [1]


def test_nobody_is_answered_twice() -> None:
    waiting = Waiting("shell", "shell")
    waiting.answer(1, 1, 0, 0, 1)
    assert waiting.said == [0, 1]
