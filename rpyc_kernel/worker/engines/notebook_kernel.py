"""What libraries look for in ``get_ipython().kernel`` where they are in a notebook."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.worker.comms import Messages


class NotebookKernel(Messages):
    """The kernel as code in it sees it.

    Attributes:
        shell: IPython's shell.
    """

    implementation = "rpyc_kernel"
    eventloop: Any = None

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    @property
    def user_ns(self) -> dict[str, Any]:
        """The namespace of all clients."""
        return self.shell.user_ns  # type: ignore[no-any-return]

    @property
    def comm_manager(self) -> Any:
        """What knows the widgets' channels."""
        from comm import get_comm_manager

        return get_comm_manager()
