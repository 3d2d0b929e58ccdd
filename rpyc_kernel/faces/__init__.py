"""What people and other programs see of a kernel. Each face stands on the client library alone."""

from typing import Final

LEAVING: Final = frozenset({"exit", "quit", "exit()", "quit()"})
"""What people type to leave a kernel, which goes on without them."""
