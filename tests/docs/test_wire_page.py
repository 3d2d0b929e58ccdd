"""The page of the wire says what is sent: fields, kinds, numbers, and a frame."""

from __future__ import annotations

import socket
from contextlib import closing

from rpyc_kernel.core import contract
from rpyc_kernel.wire import handshake, refusal
from rpyc_kernel.wire.bulk import codec
from rpyc_kernel.wire.channel import DEFAULT_MAX_FRAME_BYTES, Channel
from rpyc_kernel.wire.connection_file import ConnectionFile
from rpyc_kernel.wire.keys import ID_BYTES
from rpyc_kernel.wire.values.call import CallEncoder
from tests.docs.pages import read_page, rows_of, sections_of

_PAGE = read_page("wire.md")
_SECTIONS = sections_of(_PAGE)


def test_the_fields_of_the_connection_file_are_those_of_the_file() -> None:
    assert list(rows_of(_SECTIONS["The connection file"])) == list(ConnectionFile.__match_args__)


def test_the_frame_that_is_shown_is_the_one_that_is_sent() -> None:
    data = CallEncoder(("hub", 1, 1)).encode(7, "execute", ("6*7",))
    here, there = socket.socketpair()
    with closing(there), closing(Channel(here)) as channel:
        frame = b"".join(channel.pack(data)).hex(" ")
    assert f"\n{frame}\n" in _PAGE
    explained = _PAGE.partition("| bytes | meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    assert " ".join(line.split(" | ")[0].strip("| ").replace("`", "") for line in explained.splitlines()) == frame


def test_the_kinds_of_values_are_those_that_can_be_put_together() -> None:
    kinds = rows_of(_SECTIONS["Large values"]).keys() - {"value", "buffers"}
    assert kinds == codec._UNPACKERS.keys() - {"texts"}


def test_the_numbers_are_those_of_the_code() -> None:
    versions = (contract.PROTOCOL_VERSION, contract.WORKER_VERSION, contract.JOURNAL_VERSION)
    for name, version in zip(("protocol", "worker", "journal"), versions, strict=True):
        assert f"| {name} | {version} |" in _SECTIONS["Versions"]
    steps = (handshake._HELLO, handshake._REPLY, handshake._PROOF, handshake._VERDICT)
    hello, *others = (step.size for step in steps)
    assert [hello + ID_BYTES, *others] == _sizes_of_steps()
    for number, name in enumerate(("commands", "events", "objects", "bulk", "debugger"), 1):
        assert f"| {name} | {number} |" in _PAGE
        assert getattr(handshake, name.upper()) == number
    assert f"{DEFAULT_MAX_FRAME_BYTES:,}" in _SECTIONS["Calls by value"]
    assert refusal.MARK.hex(" ") in " ".join(_SECTIONS["Refusals"].split())


def _sizes_of_steps() -> list[int]:
    """How many bytes each side sends in turn, without what has a length of its own."""
    sizes: list[int] = []
    for line in _SECTIONS["The handshake"].splitlines():
        if line.startswith(("| client |", "| hub |", "| | ")):
            side, count = (cell.strip() for cell in line.split("|")[1:3])
            sizes += [0] if side else []
            sizes[-1] += int(count or 0)
    return sizes
