"""What the arrow keys and the search bring back of what was typed."""

from __future__ import annotations

from collections.abc import Sequence


class PastCodes:
    """Earlier code, and a place in it. While one walks through it, it is what begins as the code did that was typed."""

    def __init__(self) -> None:
        self._codes: list[str] = []
        self._place: int | None = None
        self._typed = ""

    def begin(self, codes: Sequence[str]) -> None:
        """Know what was typed before all that is known already, oldest first."""
        self._codes[:0] = codes
        self.stop()

    def add(self, code: str) -> None:
        """Code was typed."""
        if code.strip() and (not self._codes or self._codes[-1] != code):
            self._codes.append(code)
        self.stop()

    def stop(self) -> None:
        """Whoever walks begins anew at the end."""
        self._place = None

    def walk(self, typed: str, step: int) -> str | None:
        """The code before (-1) or after (1) this place; None if there is none.

        Args:
            typed: what stands there now.
            step: whereto.
        """
        if self._place is None:
            self._place, self._typed = len(self._codes), typed
        place = self._place + step
        while 0 <= place < len(self._codes):
            if self._codes[place].startswith(self._typed) and self._codes[place] != typed:
                self._place = place
                return self._codes[place]
            place += step
        if step > 0 and self._place < len(self._codes):
            self._place = None
            return self._typed
        return None

    def search(self, text: str, before: int | None = None) -> tuple[int, str] | None:
        """The newest code with this text in it, older than the place ``before``, and its place."""
        for place in range(len(self._codes) if before is None else before, 0, -1):
            if text in self._codes[place - 1]:
                return place - 1, self._codes[place - 1]
        return None
