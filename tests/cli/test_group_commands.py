"""What commands on many kernels share."""

from __future__ import annotations

import sys
import threading

import pytest

from rpyc_kernel.cli import group_commands


def test_a_terminal_is_told_for_whom_a_command_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    is_told, told = threading.Event(), list[str]()

    def tell(words: str) -> None:
        told.append(words)
        is_told.set()

    def ask(target: str) -> str:
        if target == "t-1":
            assert is_told.wait(60)
        return target

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(group_commands, "tell", tell)
    monkeypatch.setattr(group_commands, "_PATIENCE_S", 0.2)
    assert group_commands.ask_all(["t-1"], ask) == ({"t-1": "t-1"}, {})
    assert group_commands.ask_all(["t-2"], ask) == ({"t-2": "t-2"}, {})
    assert told == ["waiting for t-1"]
