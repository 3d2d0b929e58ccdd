"""What the standard streams of user code have in common, whichever way their text goes."""

from __future__ import annotations

import codecs
import io
from typing import Any


class KernelText(io.TextIOBase):
    """A stream of UTF-8 that belongs to the kernel, so that user code can neither close it nor make it another.

    Attributes:
        name: as `python` calls it.
    """

    name: str

    def __init__(self, errors: str) -> None:
        self._errors = errors

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What becomes of text that cannot be encoded, unless user code wants it otherwise."""
        return self._errors

    def isatty(self) -> bool:
        """False: there may be many terminals, or none."""
        return False

    def reconfigure(
        self,
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        line_buffering: bool | None = None,
        write_through: bool | None = None,
    ) -> None:
        """Change what becomes of text that cannot be encoded; the rest of what `io.TextIOWrapper` accepts is fixed.

        Raises:
            UnsupportedOperation: it would have to be other text, for all who share the stream.
        """
        if newline not in (None, "", "\n"):
            raise io.UnsupportedOperation(f"the line ends of a kernel's {self.name} stay as they are")
        if encoding is not None and codecs.lookup(encoding).name != "utf-8":
            stream = f"sys.{self.name.strip('<>')}"
            raise io.UnsupportedOperation(
                f"the encoding of a kernel's {self.name} is UTF-8; put another stream in its place: "
                f"{stream} = io.TextIOWrapper({stream}.buffer, {encoding!r})"
            )
        if errors is not None:
            codecs.lookup_error(errors)
            self._errors = errors

    def detach(self) -> Any:
        """The binary face, to be wrapped anew; the stream stays of use."""
        return self.buffer  # type: ignore[attr-defined] # each has its own

    def close(self) -> None:
        """Do nothing: the stream belongs to the kernel."""
