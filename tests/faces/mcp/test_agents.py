"""Which programs are the same agent."""

from __future__ import annotations

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.mcp.agents import MAX_AGENTS, Agents


def test_each_program_that_calls_itself_otherwise_is_another_agent() -> None:
    agents = Agents("demo")
    claude, cursor = agents.find("claude"), agents.find("cursor")
    assert claude is not cursor
    assert agents.find("claude") is claude
    assert agents.find("") is agents.find("\x1b\n")
    assert agents.find("cla\x00ude") is claude


@pytest.mark.parametrize("options", [{"name": "us"}, {"session": "s"}])
def test_with_a_name_or_a_session_of_their_own_all_are_one(options: dict) -> None:
    agents = Agents("demo", **options)
    assert agents.find("claude") is agents.find("cursor")


def test_there_are_no_more_than_so_many() -> None:
    agents = Agents("demo")
    there = [agents.find(str(number)) for number in range(MAX_AGENTS)]
    with pytest.raises(RequestError, match="this server has 100 agents already"):
        agents.find("one more")
    assert agents.find("0") is there[0]
