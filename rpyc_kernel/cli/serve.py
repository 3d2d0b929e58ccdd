"""The command that serves kernels to programs in any language, and to agents: serve."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, RoleCommand, UsageError
from rpyc_kernel.core.contract import Role
from rpyc_kernel.system.own_command import way_to_install

_INSTALL = f"install it with: {way_to_install('mcp')}"


class Serve(RoleCommand):
    """Serve kernels to an editor or another program, or one kernel to an agent.

    With --stdio it speaks JSON-RPC 2.0 on standard input and output, with --tcp on a port of this machine. The kernel
    NAME is connected to at once, and started if there is none; without NAME the program connects to those it wants.
    With --mcp it speaks the Model Context Protocol to an agent, on standard input and output or with --http on a port;
    this needs the extra mcp; the agent is an editor unless --role says otherwise. On standard input the server ends
    with that, on a port by Ctrl-C; kernels go on.

    Examples:
        rpyc-kernel serve demo --stdio
        rpyc-kernel serve demo --mcp --role asker
    """

    USAGE = "    {progname} [SWITCHES] [NAME] --stdio | --tcp PORT | --mcp [--http PORT] | --schema\n"

    on_stdio = cli.Flag("--stdio", help="talk on standard input and output")
    tcp = cli.SwitchAttr("--tcp", str, help="listen on a port of this machine; prints it, and the key", argname="PORT")
    for_agent = cli.Flag("--mcp", help="serve an agent")
    http = cli.SwitchAttr(
        "--http",
        str,
        help="with --mcp: listen on a port of this machine; prints the URL, and the token",
        argname="PORT",
    )
    wants_schema = cli.Flag("--schema", help="print the JSON Schema of all methods and notifications")
    session = cli.SwitchAttr("--session", str, help="the session to continue; else a new one", argname="ID")
    shown_name = cli.SwitchAttr(
        "--as", str, help="how others see the program; else by what it calls itself", argname="NAME"
    )
    max_chars = cli.SwitchAttr(
        "--max-output",
        cli.Range(100, 10**7),
        help="with --mcp: the most text of one answer, in characters",
        argname="CHARS",
    )
    budget_chars = cli.SwitchAttr(
        "--budget", cli.Range(0, 10**12), help="with --mcp: the most text that the agent gets in all", argname="CHARS"
    )

    def main(self, name: str = "") -> int:
        if sum(map(bool, (self.on_stdio, self.tcp, self.for_agent, self.wants_schema))) != 1:
            raise UsageError(f"say how to serve: {self.describe_usage()}")
        if not self.for_agent and (self.http or self.max_chars or self.budget_chars is not None):
            raise UsageError("--http, --max-output and --budget are for agents: add --mcp")
        if self.wants_schema:
            from rpyc_kernel.faces.stdio.schema import describe_protocol

            print(json.dumps(describe_protocol(), indent=1))
            return OK
        if bool(self.for_agent):
            return self._serve_agent(name or DEFAULT_NAME)
        return self._serve_program(name)

    def _serve_program(self, name: str) -> int:
        from rpyc_kernel.faces.stdio.serving import serve_stdio, serve_tcp

        defaults = {"session": self.session, "name": self.shown_name, "role": self.wanted_role}
        if self.on_stdio:
            return asyncio.run(serve_stdio(name, defaults))
        host, port = _parse_port(self.tcp)
        return asyncio.run(serve_tcp(name, defaults, host, port, _tell))

    def _serve_agent(self, name: str) -> int:
        try:
            from rpyc_kernel.faces.mcp import serving
            from rpyc_kernel.faces.mcp.agent import MAX_CHARS
            from rpyc_kernel.faces.mcp.agents import Agents
        except ImportError as error:
            raise UsageError(f"this needs the SDK of the Model Context Protocol ({error}); {_INSTALL}") from None
        agents = Agents(
            name,
            name=self.shown_name or "",
            role=self.wanted_role or Role.EDITOR,
            session=self.session,
            max_chars=self.max_chars or MAX_CHARS,
            budget_chars=self.budget_chars,
        )
        http = str(self.http or "")
        if not http:
            serving.serve_stdio(agents, name)
            return OK
        host, port = _parse_port(http)
        if host != serving.HOST:
            raise UsageError(f"agents are served on {serving.HOST} only, not on {host}")
        try:
            serving.serve_http(agents, name, port, _tell)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UsageError(f"port {port} cannot be used: {reason}; choose another by --http") from None
        return OK


def _tell(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def _parse_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{text!r} is no port; use a number, or 0 for a free one")
    if (host or "127.0.0.1") not in ("127.0.0.1", "::1", "localhost"):
        advice = "use ssh -L, or serve by --stdio over ssh"
        raise UsageError(f"{host!r} is not this machine; what is said here has no TLS: {advice}")
    return host or "127.0.0.1", int(port)
