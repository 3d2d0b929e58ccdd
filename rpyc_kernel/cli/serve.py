"""The command that serves kernels to programs in any language: serve."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import asyncio
import json

from plumbum import cli

from rpyc_kernel.cli.application import OK, Command, UsageError


class Serve(Command):
    """Serve kernels to an editor or another program: JSON-RPC 2.0 on standard input and output.

    The kernel NAME is connected to at once, and started if there is none; without NAME the program connects to those it
    wants. The server ends when its input ends; kernels go on.
    """

    USAGE = "{progname} [NAME] --stdio | --tcp [HOST:]PORT | --schema"

    on_stdio = cli.Flag("--stdio", help="talk on standard input and output")
    tcp = cli.SwitchAttr("--tcp", str, help="listen on a port of this machine; prints it, and the key", argname="PORT")
    wants_schema = cli.Flag("--schema", help="print the JSON Schema of all methods and notifications")
    session = cli.SwitchAttr("--session", str, help="the session to continue; else a new one", argname="ID")
    shown_name = cli.SwitchAttr("--as", str, help="how others see the program; else your user name", argname="NAME")
    role = cli.SwitchAttr("--role", str, help="what the program may do: owner, editor or viewer", argname="ROLE")

    def main(self, name: str = "") -> int:
        if sum(map(bool, (self.on_stdio, self.tcp, self.wants_schema))) != 1:
            raise UsageError(f"say how to serve: {self.describe_usage()}")
        if self.wants_schema:
            from rpyc_kernel.faces.stdio.schema import describe_protocol

            print(json.dumps(describe_protocol(), indent=1))
            return OK
        from rpyc_kernel.faces.stdio.serving import serve_stdio, serve_tcp

        defaults = {"session": self.session, "name": self.shown_name, "role": self.role}
        if self.on_stdio:
            return asyncio.run(serve_stdio(name, defaults))
        host, port = _parse_port(self.tcp)
        return asyncio.run(serve_tcp(name, defaults, host, port, lambda told: print(json.dumps(told), flush=True)))


def _parse_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{text!r} is no port; use --tcp PORT, or --tcp 0 for a free one")
    if (host or "127.0.0.1") not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(
            f"{host!r} is not this machine; what is said here has no TLS: use ssh -L, or serve --stdio over ssh"
        )
    return host or "127.0.0.1", int(port)
