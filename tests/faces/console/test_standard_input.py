import asyncio
import io
import os
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rpyc_kernel.faces.console.standard_input import StandardInput

TIMEOUT_S = 30


@pytest.fixture
def pipe() -> Iterator[tuple[int, Callable[[bytes], object]]]:
    """The reading end of a pipe, and what writes to it; an empty text closes it."""
    read_end, write_end = os.pipe()
    is_open = True

    def write(data: bytes) -> None:
        nonlocal is_open
        if data:
            os.write(write_end, data)
        else:
            os.close(write_end)
            is_open = False

    yield read_end, write
    os.close(read_end)
    if is_open:
        os.close(write_end)


async def read_all(standard_input: StandardInput) -> list[str]:
    lines = []
    while True:
        try:
            lines.append(await asyncio.wait_for(standard_input.read_line(), TIMEOUT_S))
        except EOFError:
            return lines


def test_lines_come_one_by_one_however_they_were_written(pipe: tuple[int, Callable[[bytes], object]]):
    descriptor, write = pipe
    for piece in (b"one\ntw", b"o\r\n\nla", b"st"):
        write(piece)
    write(b"")
    assert asyncio.run(read_all(StandardInput(descriptor))) == ["one", "two", "", "last"]


def test_a_character_may_come_in_pieces(pipe: tuple[int, Callable[[bytes], object]]):
    descriptor, write = pipe

    async def run() -> str:
        reading = asyncio.ensure_future(StandardInput(descriptor).read_line())
        for byte in "größer\n".encode():
            write(bytes([byte]))
            await asyncio.sleep(0)
        return await asyncio.wait_for(reading, TIMEOUT_S)

    assert asyncio.run(run()) == "größer"


def test_what_is_no_text_is_escaped(pipe: tuple[int, Callable[[bytes], object]]):
    descriptor, write = pipe
    write(b"\xff\n")
    assert asyncio.run(StandardInput(descriptor).read_line()) == r"\xff"


def test_a_file_is_read_as_a_pipe_is(tmp_path: Path):
    (tmp_path / "lines").write_text("one\ntwo\n")
    with (tmp_path / "lines").open() as opened:
        assert asyncio.run(read_all(StandardInput(opened.fileno()))) == ["one", "two"]


def test_who_stops_waiting_loses_nothing(pipe: tuple[int, Callable[[bytes], object]]):
    descriptor, write = pipe

    async def run() -> str:
        standard_input = StandardInput(descriptor)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(standard_input.read_line(), 0.05)
        write(b"late\n")
        return await asyncio.wait_for(standard_input.read_line(), TIMEOUT_S)

    assert asyncio.run(run()) == "late"


def test_the_question_for_a_password_comes_when_its_answer_will_not_be_seen(monkeypatch: pytest.MonkeyPatch):
    outer, inner = os.openpty()
    questions = []

    def has_echo() -> bool:
        return bool(termios.tcgetattr(inner)[3] & termios.ECHO)

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            questions.append((text, has_echo()))
            os.write(outer, b"hush\n")
            return len(text)

    monkeypatch.setattr(sys, "stdout", Output())
    try:
        assert asyncio.run(StandardInput(inner).read_line("Password: ", is_hidden=True)) == "hush"
        assert questions == [("Password: ", False)]
        assert has_echo()
    finally:
        os.close(outer)
        os.close(inner)
