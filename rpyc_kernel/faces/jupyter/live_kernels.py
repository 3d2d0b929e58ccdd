"""The kernels that run on this machine, as kernelspecs: so that a notebook server offers to join them.

c.ServerApp.kernel_spec_manager_class = "rpyc_kernel.faces.jupyter.live_kernels.LiveKernelSpecManager"
"""

from __future__ import annotations

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

from rpyc_kernel.client import launch
from rpyc_kernel.faces.jupyter import provisioner
from rpyc_kernel.faces.jupyter.kernelspec import ICONS, make_spec, name_for

_PRIVATE = "jupyter-"
"""What the names of kernels begin with that are a notebook's own."""


class LiveKernelSpecManager(KernelSpecManager):
    """Finds installed kernelspecs, and running kernels beside them."""

    def find_kernel_specs(self) -> dict[str, str]:
        """The folders of all kernelspecs by name; a running kernel's has icons, and no file that describes it."""
        return {**super().find_kernel_specs(), **dict.fromkeys(_running(), str(ICONS))}

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """The kernelspec of this name.

        Raises:
            NoSuchKernel: of jupyter_client; there is none.
        """
        running = _running().get(kernel_name)
        return super().get_kernel_spec(kernel_name) if running is None else _describe(running)


def _running() -> dict[str, str]:
    """The names of running kernels by those of their kernelspecs."""
    kernels = [kernel.name for kernel in launch.kernels() if kernel.state == "running"]
    return {f"{name_for(name)}-live": name for name in kernels if not name.startswith(_PRIVATE)}


def _describe(kernel: str) -> KernelSpec:
    content = make_spec(kernel)
    content["display_name"] = f"Join {kernel}"
    content["metadata"]["kernel_provisioner"] = {
        "provisioner_name": provisioner.NAME,
        "config": {"attach": kernel},
    }
    return KernelSpec(resource_dir=str(ICONS), **content)
