"""Code that was entered before there is a prompt for it."""

from __future__ import annotations

from collections import deque


class TypedAhead:
    """What waits for prompts, first come, first served."""

    def __init__(self) -> None:
        self._codes: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, code: str) -> None:
        """This was entered."""
        self._codes.append(code)

    def take_next(self) -> str | None:
        """What the prompt gets that is there now; None where nothing waits."""
        return self._codes.popleft() if self._codes else None

    def take_back(self, draft: str) -> str:
        """What the user gets to edit again, before what is typed by now; nothing waits any more."""
        codes = [*self._codes, *([draft] if draft else [])]
        self._codes.clear()
        return "\n".join(codes)
