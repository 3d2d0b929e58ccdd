"""Who are served by one server: each program that calls itself otherwise is an agent of its own."""

from __future__ import annotations

from typing import Final

from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.mcp.agent import MAX_CHARS, Agent, Budget

MAX_AGENTS: Final = 100
_MAX_NAME_CHARS: Final = 64


class Agents:
    """The agents of a server. The protocol of 2026 has no sessions: a program is known by its name in each request.

    Args:
        address: the kernel's name, or where it is.
        name: how others see all of them, who are one agent then; "" for what their programs are called.
        role: what each may do.
        session: the session to continue, in which they are one agent, too.
        max_chars: the most text that one answer has.
        budget_chars: how much text they get in all, as what a program calls itself is up to it; None for any.

    Attributes:
        is_leaving: whether what ends their calls now is the server's own end, which ends no code.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str = "",
        role: str = Role.EDITOR,
        session: str | None = None,
        max_chars: int = MAX_CHARS,
        budget_chars: int | None = None,
    ) -> None:
        self.is_leaving = False
        self._address = address
        self._name = name
        self._role = role
        self._session = session
        self._max_chars = max_chars
        self._budget = Budget(budget_chars)
        self._by_name: dict[str, Agent] = {}

    def find(self, client_name: str) -> Agent:
        """The agent of a program that calls itself so.

        Raises:
            RequestError: there are too many.
        """
        called = "".join(filter(str.isprintable, client_name)).strip()[:_MAX_NAME_CHARS]
        name = self._name or (f"{called} (agent)" if called else "an agent")
        key = "" if self._session is not None else name
        if key not in self._by_name:
            if len(self._by_name) >= MAX_AGENTS:
                raise RequestError(f"this server has {MAX_AGENTS} agents already; start one more server")
            self._by_name[key] = self._make(name)
        return self._by_name[key]

    def _make(self, name: str) -> Agent:
        return Agent(
            self._address,
            name=name,
            role=self._role,
            session=self._session,
            max_chars=self._max_chars,
            budget=self._budget,
            is_leaving=lambda: self.is_leaving,
        )

    async def close(self) -> None:
        """Leave; the kernel and what runs in it go on."""
        for agent in self._by_name.values():
            await agent.close()
