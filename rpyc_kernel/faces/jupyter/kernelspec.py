"""How Jupyter finds the bridge: kernelspecs, one for a kernel of a notebook's own and one for each kernel to join."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.messages import PROTOCOL

NAME = "rpyc_kernel"
_MODULE = "rpyc_kernel.faces.jupyter"
ICONS = Path(__file__).with_name("icons")
"""A folder with what launchers show for our kernels."""


@dataclass(frozen=True)
class Installed:
    """A kernelspec of ours that Jupyter finds.

    Attributes:
        name: what Jupyter calls it.
        path: its folder.
        attach: the kernel it joins, None where each notebook gets one of its own.
    """

    name: str
    path: str
    attach: str | None


def make_spec(attach: str | None = None, python: str = sys.executable) -> dict[str, Any]:
    """The content of a ``kernel.json``.

    Args:
        attach: the running kernel to join, None for one of each notebook's own.
        python: the interpreter to run.
    """
    joining = ["--attach", attach] if attach else []
    return {
        "argv": [python, "-m", _MODULE, "-f", "{connection_file}", *joining],
        "display_name": f"Python (kernel {attach})" if attach else "Python (rpyc_kernel)",
        "language": "python",
        "interrupt_mode": "message",
        "kernel_protocol_version": PROTOCOL,
        "metadata": {"debugger": True, "supported_encryption": ["curve"]},
    }


def name_for(attach: str | None) -> str:
    """What Jupyter is to call the spec: its names are lower-case letters, digits, ``-``, ``_`` and ``.``."""
    return NAME if attach is None else f"{NAME}-{re.sub(r'[^a-z0-9._-]', '-', attach.lower())}"


def install(attach: str | None = None, *, user: bool = True, prefix: str | None = None) -> str:
    """Install a kernelspec and return its folder.

    Args:
        attach: the running kernel it joins.
        user: for this user alone, else for all.
        prefix: the environment to install it in, instead of either.

    Raises:
        RequestError: the folder cannot be written.
    """
    name = name_for(attach)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ICONS, folder, dirs_exist_ok=True)
        (Path(folder) / "kernel.json").write_text(json.dumps(make_spec(attach), indent=1) + "\n")
        try:
            return str(KernelSpecManager().install_kernel_spec(folder, name, user=user and not prefix, prefix=prefix))
        except OSError as error:
            raise RequestError(f"the kernelspec {name!r} cannot be installed: {error}") from None


def uninstall(attach: str | None = None) -> str:
    """Remove a kernelspec and return the folder it was in.

    Raises:
        RequestError: there is none, or it cannot be removed.
    """
    name = name_for(attach)
    try:
        path = KernelSpecManager().get_kernel_spec(name).resource_dir
        shutil.rmtree(path)
    except NoSuchKernel:
        raise RequestError(
            f"there is no kernelspec {name!r}; 'rpyc-kernel jupyter list' shows those there are"
        ) from None
    except OSError as error:
        raise RequestError(f"the kernelspec {name!r} cannot be removed: {error}") from None
    return str(path)


def list_installed() -> list[Installed]:
    """Return the kernelspecs of ours that Jupyter finds."""
    found = []
    for name, described in sorted(KernelSpecManager().get_all_specs().items()):
        argv = described["spec"]["argv"]
        if _MODULE in argv:
            attach = argv[argv.index("--attach") + 1] if "--attach" in argv else None
            found.append(Installed(name, described["resource_dir"], attach))
    return found
