"""Draws docs/pictures/console-*.svg from a real run of two consoles: python scripts/console_pictures.py"""

import html
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.end_to_end.terminals import CTRL_C, CTRL_D, TAB, Terminal  # noqa: E402

_WIDTH, _HEIGHT, _MARGIN = 8.4, 18, 10
_COLOURS = {"default": "#d8d8d8", "brown": "#d7af5f", "blue": "#6f9fff", "red": "#ff6b6b", "green": "#7fd17f"}
_COLOURS |= {"cyan": "#6fd7d7", "magenta": "#d78fd7", "black": "#7a7a7a"}


def draw(terminal: Terminal, name: str) -> None:
    """Write what is on a terminal's screen as a picture."""
    screen = terminal._screen
    used = max(row for row in range(screen.lines) if screen.display[row].strip()) + 1
    width, height = screen.columns * _WIDTH + 2 * _MARGIN, used * _HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="monospace" '
        f'font-size="14"><rect width="100%" height="100%" rx="6" fill="#1e1e1e"/>'
    ]
    for row in range(used):
        for column in range(screen.columns):
            parts.append(_draw_character(screen.buffer[row][column], row, column))
    (ROOT / "docs" / "pictures" / f"{name}.svg").write_text("\n".join(filter(None, parts)) + "\n</svg>\n")


def _draw_character(character, row: int, column: int) -> str:
    x, y = _MARGIN + column * _WIDTH, _MARGIN + row * _HEIGHT
    front, back = _colour(character.fg, "#d8d8d8"), _colour(character.bg, "#1e1e1e")
    if character.reverse:
        front, back = back, front
    box = f'<rect x="{x:g}" y="{y}" width="{_WIDTH + 0.3:g}" height="{_HEIGHT}" fill="{back}"/>'
    weight = ' font-weight="bold"' if character.bold else ""
    text = f'<text x="{x:g}" y="{y + 14}" fill="{front}"{weight}>{html.escape(character.data)}</text>'
    return (box if back != "#1e1e1e" else "") + (text if character.data.strip() else "")


def _colour(name: str, default: str) -> str:
    name = name.removeprefix("bright")
    if name == "default":
        return default
    return _COLOURS.get(name, f"#{name}" if len(name) == 6 and name.isalnum() else name)


def main() -> None:
    """Have two people share a kernel, and draw what one of them sees."""
    (ROOT / "docs" / "pictures").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.environ |= {"RPYC_KERNEL_RUNTIME_DIR": f"{folder}/r", "RPYC_KERNEL_STATE_DIR": f"{folder}/s"}
        group: list[Terminal] = []

        def open_console(name: str) -> Terminal:
            terminal = Terminal(["console", "demo", "--as", name], {}, group, rows=18, columns=90)
            group.append(terminal)
            terminal.wait_for_prompt()
            return terminal

        bob, alice = open_console("bob"), open_console("alice")
        alice.enter("prices = [3, 5, 8]; sum(prices)")
        bob.wait_for("Out .*16")
        bob.enter("import time; print('a long task'); time.sleep(600);")
        bob.wait_for("^.2. a long task|^.3. a long task")
        bob.wait_for_prompt()
        bob.type("prices." + TAB)
        bob.wait_for("append")
        bob.wait_for_bar("busy since")
        draw(bob, "console-completion")
        bob.type(CTRL_C)
        bob.wait_for_prompt()
        bob.type("sorted(prices, ")
        bob.wait_for_bar("reverse")
        draw(bob, "console-signature")
        bob.type(CTRL_C)
        bob.wait_for_prompt()
        for terminal in (bob, alice):
            terminal.type(CTRL_D)
            terminal.wait_for_end()
        os.system(f"cd {ROOT} && {sys.executable} -m rpyc_kernel stop demo")


if __name__ == "__main__":
    main()
