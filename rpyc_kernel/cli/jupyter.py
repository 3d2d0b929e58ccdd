"""The commands that make kernels known to Jupyter and ipyparallel: jupyter install, uninstall, list, engine."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from types import ModuleType

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, USAGE, Application, Command, JsonCommand, UsageError, tell
from rpyc_kernel.client.address import name_secret, resolve
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.extra import needing_extra

_HELP = """\
Make kernels known to Jupyter.

Usage: rpyc-kernel jupyter COMMAND [SWITCHES]

  install    install a kernelspec; with --attach NAME one that joins the running kernel NAME
  uninstall  remove it again
  list       show those installed
  engine     have a running kernel be an engine of ipyparallel

Without --attach each notebook gets a kernel of its own, which ends with it. A kernel that is joined goes on when the
notebook is closed, and notebooks and consoles that join it share it.

Kernelspecs are this user's, unless --prefix or --system says otherwise; uninstall removes from where install with the
same switches has put one.

An engine belongs to a controller of ipyparallel ('ipcontroller', 'ipcluster'), by the file that it writes for engines.
The command stays until the controller ends, an ipyparallel.Client shuts the engine down, or Ctrl-C; the kernel goes on.
"""


class Jupyter(Application):
    """Make kernels known to Jupyter."""

    CALL_MAIN_IF_NESTED_COMMAND = False

    def main(self, *arguments: str) -> int:
        if arguments:
            raise UsageError(
                f"there is no command 'jupyter {arguments[0]}'; choose one of install, uninstall, list, engine"
            )
        print(_HELP, end="", file=sys.stderr)
        return USAGE

    @cli.switch(["-h", "--help"], overridable=True, group="Meta-switches", help="show this")
    def help(self) -> None:
        print(_HELP, end="")


Jupyter.unbind_switches("--help-all", "--version", "-v", "--completions")


class _SpecCommand(Command):
    """A command on one kernelspec, this user's if not told otherwise."""

    NAMES_KERNEL = False

    attach = cli.SwitchAttr("--attach", str, help="of the running kernel to join", argname="NAME")
    prefix = cli.SwitchAttr("--prefix", str, help="in the environment FOLDER", argname="FOLDER", excludes=["--system"])
    is_for_all = cli.Flag("--system", help="for all users")


@Jupyter.subcommand("install")
class Install(_SpecCommand):
    """Install a kernelspec, for this user if not told otherwise."""

    def main(self) -> int:
        path = _kernelspecs().install(self.attach, user=not self.is_for_all, prefix=self.prefix)
        print(f"installed {path}")
        if self.attach:
            if variable := name_secret(self.attach):
                print(f"no secret is in it: start Jupyter with {variable} in its environment, or no notebook can join")
            self._warn_if_absent(self.attach)
        return OK

    def _warn_if_absent(self, target: str) -> None:
        # No error: who sets a machine up may start its kernels later.
        try:
            resolve(target)
        except KernelError as error:
            tell(f"rpyc-kernel: no notebook can join by it so far: {error}")


@Jupyter.subcommand("uninstall")
class Uninstall(_SpecCommand):
    """Remove a kernelspec, this user's if not told otherwise."""

    def main(self) -> int:
        removed = _kernelspecs().uninstall(self.attach, user=not self.is_for_all, prefix=self.prefix)
        print(f"removed {removed.path}")
        if removed.others:
            print(f"Jupyter still finds one of this name: {', '.join(removed.others)}")
        return OK


@Jupyter.subcommand("list")
class ListSpecs(JsonCommand):
    """Show the kernelspecs that Jupyter finds."""

    NAMES_KERNEL = False

    def main(self) -> int:
        found = _kernelspecs().list_installed()
        lines = [f"{spec.name}  {spec.path}" + (f"  joins {spec.attach}" if spec.attach else "") for spec in found]
        self.write_answer([dataclasses.asdict(spec) for spec in found], lines or ["no kernelspec of ours is installed"])
        return OK


@Jupyter.subcommand("engine")
class Engine(Command):
    """Have a running kernel be an engine of ipyparallel, until its controller ends or the engine is shut down."""

    file = cli.SwitchAttr("--file", str, help="which the controller has written for engines", argname="FILE")
    profile = cli.SwitchAttr(
        "--profile", str, "default", help="of IPython: where to look for the file", argname="NAME", excludes=["--file"]
    )
    cluster = cli.SwitchAttr(
        "--cluster-id", str, "", help="of the controller: which file to look for", argname="ID", excludes=["--file"]
    )
    engine_id = cli.SwitchAttr("--id", int, help="the number of the engine; else the controller gives one", argname="N")
    patience = cli.SwitchAttr(
        "--patience", float, 30.0, help="for how many seconds controller or kernel may be gone", argname="SECONDS"
    )

    def main(self, name: str = DEFAULT_NAME) -> int:
        with needing_extra():
            from rpyc_kernel.faces.jupyter.engine.controller import find_file
            from rpyc_kernel.faces.jupyter.engine.serving import serve
        logging.basicConfig(level=logging.WARNING, format="rpyc-kernel: %(message)s")
        file = Path(self.file) if self.file else find_file(self.profile, self.cluster)
        return serve(name, file, engine_id=self.engine_id, patience_s=self.patience, tell=_tell_at_once)


def _tell_at_once(text: str) -> None:
    print(text, flush=True)


def _kernelspecs() -> ModuleType:
    """What deals with kernelspecs; Jupyter's own parts are optional, and take a while to import."""
    with needing_extra():
        from rpyc_kernel.faces.jupyter import kernelspec
    return kernelspec
