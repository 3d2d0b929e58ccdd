"""Files whose path begins in a certain way."""

from __future__ import annotations

import os

from rpyc_kernel.core.introspection import Completion
from rpyc_kernel.worker.static_access import is_name


def list_files(prefix: str) -> list[Completion]:
    """The files whose path begins so."""
    folder, _, _ = prefix.rpartition(os.sep)
    shown = folder + os.sep if os.sep in prefix else ""
    try:
        entries = list(os.scandir(os.path.expanduser(shown) or "."))
    except (OSError, ValueError):  # nothing is there, or nothing can have that name
        return []
    return [
        Completion(shown + entry.name + (os.sep if _is_folder(entry) else ""), "path")
        for entry in entries
        if is_name(entry.name) and (shown + entry.name).startswith(prefix)
    ]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in circles
        return False
