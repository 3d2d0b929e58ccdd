"""What is asked at a terminal is shown there without what the terminal would obey."""

import builtins
import getpass
import sys

import pytest

from rpyc_kernel.cli.answering import _read_answer
from rpyc_kernel.core.contract import Event, Kind


@pytest.mark.parametrize("is_secret", [False, True])
def test_a_question_says_nothing_to_the_terminal_that_shows_it(
    monkeypatch: pytest.MonkeyPatch, is_secret: bool
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(getpass if is_secret else builtins, "getpass" if is_secret else "input", lambda prompt: prompt)
    payload = {"prompt": "who\x1b[2J? ", "password": is_secret, "token": 1}
    assert _read_answer(Event(1, 0.0, Kind.INPUT_REQUESTED, 1, "a", payload), None) == "who? "
