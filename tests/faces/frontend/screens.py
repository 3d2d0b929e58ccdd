"""A screen that only remembers what is written."""


class QuietScreen:
    """Draws nothing, and has room for everything."""

    is_interactive = True
    keys = "keys of this screen"
    is_colourful = False
    is_reading = False
    room = None

    def __init__(self) -> None:
        self.shown = ""

    def write(self, text: str) -> None:
        self.shown += text

    def replace(self, old: str, new: str) -> bool:
        return False

    def is_too_long(self, text: str) -> bool:
        return False

    def end_line(self) -> None:
        if self.shown and not self.shown.endswith("\n"):
            self.shown += "\n"

    def refresh(self) -> None:
        """Nothing is drawn."""

    propose = interrupt = withdraw = refresh
