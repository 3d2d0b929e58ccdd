"""A kernel provisioner that joins a running kernel: for kernelspecs that name one in their metadata.

    "kernel_provisioner": {"provisioner_name": "rpyc-kernel", "config": {"attach": "demo"}}

What Jupyter starts and ends is the bridge. The kernel was there before and goes on.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Unicode

from rpyc_kernel.client.address import resolve

NAME = "rpyc-kernel"


class AttachingProvisioner(LocalProvisioner):
    """Runs a bridge to a running kernel."""

    attach = Unicode("", config=True, help="the name or address of the kernel to join")

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Complete the command of the bridge.

        Raises:
            NoSuchKernel: the kernel does not run.
        """
        if self.attach:
            resolve(self.attach)  # says at once, and to the one who wants to start it, what is wrong
        launched = await super().pre_launch(**kwargs)
        if self.attach and "--attach" not in launched["cmd"]:
            launched["cmd"] = [*launched["cmd"], "--attach", self.attach]
        return launched

    async def get_provisioner_info(self) -> dict[str, Any]:
        """What is needed to find the bridge again."""
        return {**await super().get_provisioner_info(), "attach": self.attach}

    async def load_provisioner_info(self, provisioner_info: dict[str, Any]) -> None:
        """Take up a bridge that an earlier server has left."""
        await super().load_provisioner_info(provisioner_info)
        self.attach = provisioner_info.get("attach", "")
