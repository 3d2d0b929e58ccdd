"""The server that an editor has started."""

import os
import signal

from tests.support.processes import list_processes, read_command


def end_server_of(editor_pid: int) -> None:
    """Kill it, as a lack of memory would."""
    children = [each.pid for each in list_processes() if each.parent == editor_pid]
    (server,) = [pid for pid in children if "serve --stdio" in read_command(pid)]
    os.kill(server, signal.SIGKILL)
