"""What commands that start kernels share: the switches that say how."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any

from plumbum import cli

from rpyc_kernel.cli.application import TERMINATED, Command, UsageError, tell
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.client import launch
from rpyc_kernel.client.address import is_on_other_machine
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.settings import DEFAULT_SWITCH_INTERVAL_S, ENGINES


class StartingCommand(Command):
    """A command that may start a kernel."""

    DEFAULT_ENGINE = "auto"
    DEFAULT_PROFILE: bool = True  # reads what the user has set up for interactive work

    engine = cli.SwitchAttr("--engine", cli.Set(*ENGINES), help="what runs the code; auto: ipython where it is there")
    python = cli.SwitchAttr("--python", str, help="the interpreter to run", argname="PATH")
    cwd = cli.SwitchAttr("--cwd", str, help="the folder to work in; this one if not given", argname="FOLDER")
    variables = cli.SwitchAttr("--env", str, list=True, help="an environment variable", argname="NAME=VALUE")
    switch_interval = cli.SwitchAttr(
        "--switch-interval",
        float,
        default=DEFAULT_SWITCH_INTERVAL_S,
        help="after so many seconds busy code lets others look in",
        argname="SECONDS",
    )
    has_no_profile = cli.Flag("--no-profile", help="leave PYTHONSTARTUP and IPython's profile unread")
    nice = cli.SwitchAttr("--nice", int, default=0, help="step back behind other programs, 0 to 19", argname="NUMBER")
    idle_timeout = cli.SwitchAttr(
        "--idle-timeout",
        float,
        help="end the kernel when nobody was connected and nothing ran for so many seconds; 0: never",
        argname="SECONDS",
    )
    listen = cli.SwitchAttr("--listen", str, help="where to listen; 127.0.0.1 if not given", argname="HOST[:PORT]")
    has_tls = cli.Flag("--tls", help="speak TLS also where only this machine can reach the port")
    is_insecure = cli.Flag("--insecure", help="speak no TLS anywhere: others can read and change what is said")
    certificate = cli.SwitchAttr("--certificate", str, help="in place of the kernel's own", argname="FILE")
    private_key = cli.SwitchAttr("--private-key", str, help="of the certificate", argname="FILE")
    client_ca = cli.SwitchAttr("--client-ca", str, help="who signs the certificates of all clients", argname="FILE")

    announce = cli.SwitchAttr(
        "--announce",
        str,
        help="tell a registry of RPyC's where the kernel is: broadcast, HOST[:PORT] or tcp://HOST[:PORT]",
        argname="REGISTRY",
    )

    def _validate_args(self, swfuncs: Any, tailargs: Any) -> Any:
        self.of_start = [info.swname for switch, info in swfuncs.items() if switch in vars(StartingCommand).values()]
        """Those switches of the user's that say how to start a kernel."""
        return super()._validate_args(swfuncs, tailargs)

    def start(self, name: str, *, is_private: bool = False, standard_input: int | None = None) -> KernelClient:
        """Start a kernel as the switches say."""
        return launch.start(name, is_private=is_private, standard_input=standard_input, **self.settings())

    def settings(self) -> dict[str, Any]:
        """What the switches say, as the arguments of `launch.start`."""
        for variable in self.variables:
            if "=" not in variable:
                raise UsageError(f"--env {variable}: use NAME=VALUE")
        return {
            "engine": str(self.engine or self.DEFAULT_ENGINE),
            "python": self.python,
            "cwd": self.cwd,
            "env": dict(variable.partition("=")[::2] for variable in self.variables),
            "listen": self.listen,
            "announce": self.announce,
            "tls": bool(self.has_tls),
            "insecure": bool(self.is_insecure),
            "certificate": self.certificate,
            "private_key": self.private_key,
            "client_ca": self.client_ca,
            "switch_interval": self.switch_interval,
            "profile": self.DEFAULT_PROFILE and not self.has_no_profile,
            "nice": self.nice,
            "idle_timeout": check_limit(self.idle_timeout, "--idle-timeout"),
        }


@contextlib.contextmanager
def ending_in_order() -> Iterator[None]:
    """Have SIGTERM raise SystemExit, so that what was begun is taken back."""
    earlier = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


@contextlib.contextmanager
def telling_what_may_run(name: str) -> Iterator[None]:
    """Say on standard error, where Ctrl-C or SIGTERM ends a start on another machine, that the kernel may be there."""
    if not is_on_other_machine(name):
        yield
        return
    with ending_in_order():
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            tell(f"it may be running there; 'rpyc-kernel stop {name}' ends it")
            raise
