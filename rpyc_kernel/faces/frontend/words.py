"""Words that name executions, places and people in a line."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.system.addresses import is_loopback

HERE = "this machine"


def first_line(code: str) -> str:
    """The beginning of some code, to be recognised by."""
    line = sanitize_line(code.strip().partition("\n")[0])
    return line if len(line) <= 60 else line[:57] + "..."


def describe_ask(number: int, name: str, code: str) -> str:
    """Say that somebody wants some code to run that is held, and how to see all of it where this is not all."""
    more = code.strip().count("\n")
    lines = f" and {more} more line{'' if more == 1 else 's'}" if more else ""
    shown = first_line(code)
    way = f" (%code {number})" if more or shown.endswith("...") else ""
    return f"{sanitize_line(name)} asks to run [{number}] {shown}{lines}{way}"


def join_numbers(numbers: Iterable[int]) -> str:
    """Name executions in a sentence: ``[3], [4] and [7]``."""
    *most, last = [f"[{number}]" for number in numbers]
    return f"{', '.join(most)} and {last}" if most else last


def describe_place(host: str, address: str) -> str:
    """From where somebody comes, in words. By SSH there is no address; a host is what a client says of itself."""
    if host in ("", socket.gethostname()) and (not address or is_loopback(address)):
        return HERE
    host, address = sanitize_line(host), sanitize_line(address)
    if host and address:
        return f"{host} ({address})"
    return host or address
