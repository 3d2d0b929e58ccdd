"""Where a kernel is at home: its journal, and beside it the lock of its name and the way to its hub.

The home stays when a user logs out and when the kernel is stopped. Whoever knows the name finds the living hub through
it, whatever the environment says about runtime folders.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rpyc_kernel.system.kernel_folder import KernelFolder
from rpyc_kernel.system.private_files import write_private

_JOURNAL = "journal.sqlite"
_PICTURES = "pictures"
_KEY = "key"
JOURNAL_NAMES = (_JOURNAL, f"{_JOURNAL}-*", f"{_JOURNAL}.*", "journal.damaged-*.sqlite*")
"""The journal, what SQLite puts beside it, and what was set aside of one that was damaged."""


class Home(KernelFolder):
    """The paths of what stays of one kernel."""

    WRITTEN = (*KernelFolder.WRITTEN, "invitations.json", "invitations.new")
    MADE = (*WRITTEN, *JOURNAL_NAMES, _PICTURES)
    VARIABLE = "RPYC_KERNEL_STATE_DIR"

    @property
    def journal(self) -> Path:
        """The record of the kernel's life."""
        return self.path / _JOURNAL

    @property
    def invitations(self) -> Path:
        """The keys of those who were invited."""
        return self.path / "invitations.json"

    @property
    def pictures(self) -> Path:
        """The folder for pictures that a terminal cannot draw."""
        return self.path / _PICTURES

    @property
    def certificate(self) -> Path:
        """The certificate of a kernel that has listened with TLS."""
        return self.path / "certificate.pem"

    @property
    def private_key(self) -> Path:
        """The private key of its certificate."""
        return self.path / "private-key.pem"

    @property
    def last_seen(self) -> float | None:
        """When the kernel last wrote something here, seconds since the epoch; None if it never did."""
        times = []
        for path in (self.journal, self._log_ahead, self.connection_file):
            with contextlib.suppress(OSError):
                times.append(path.stat().st_mtime)
        return max(times, default=None)

    @property
    def _log_ahead(self) -> Path:
        """SQLite's write-ahead log, which a hub merges into the journal when it ends."""
        return self.path / f"{_JOURNAL}-wal"

    @property
    def journal_bytes(self) -> int:
        """How much room the journal takes."""
        size = 0
        for path in self.files():
            if path.name.startswith("journal"):
                with contextlib.suppress(OSError):
                    size += path.stat().st_size
        return size

    def take_key(self, fresh: bytes) -> bytes:
        """The kernel's own key: the same as long as this home stands; a fresh one where there is none that can be read.

        So a client finds its kernel again after any number of hubs. Where it cannot be kept, it holds for this hub.
        """
        with contextlib.suppress(OSError, ValueError):
            known = bytes.fromhex((self.path / _KEY).read_text())
            if len(known) == len(fresh):
                return known
        with contextlib.suppress(OSError):
            write_private(self.path / _KEY, fresh.hex().encode())
        return fresh

    def remove(self) -> None:
        """Remove what kernels made, and the folders if nothing else is in them."""
        if not self.pictures.is_symlink():  # through which the names of a user's own pictures would be met
            with contextlib.suppress(OSError):
                for picture in self.pictures.glob("[0-9]*-[0-9]*.*"):
                    picture.unlink()
                self.pictures.rmdir()
        super().remove()

    def leave(self) -> None:
        """Take away what only a running kernel has."""
        with contextlib.suppress(OSError):
            self.connection_file.unlink(missing_ok=True)
