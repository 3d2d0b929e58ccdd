r"""Characters that no keyboard has, by what is written for them behind a backslash, as IPython completes them.

``\alpha`` becomes ``α``, and so does ``\GREEK SMALL LETTER ALPHA``; ``\α`` becomes what is written for it.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator

from rpyc_kernel.core.introspection import MAX_MATCHES, Completion, Completions

_WRITTEN = re.compile(r"\\([A-Z][A-Z0-9 -]*|[^\s\\]+)\Z")
_MIN_NAME = 3
"""Names of characters are looked for from so many letters on: it takes a tenth of a second."""
_NAMED = ((0x20, 0x323B0), (0xE0001, 0xE01F0))
"""Where the characters are that have names."""


def complete(line: str, cursor: int) -> Completions | None:
    """What could stand in place of what ends the line, at the cursor; None where that is no symbol."""
    found = _WRITTEN.search(line)
    if found is None:
        return None
    items = list(itertools.islice(_find(found[1]), MAX_MATCHES + 1))
    if not items:
        return None
    chosen = tuple(items[:MAX_MATCHES])
    return Completions(cursor - len(found[0]), cursor, chosen, is_whole=len(items) == len(chosen))


def _find(written: str) -> Iterator[Completion]:
    from IPython.core.latex_symbols import latex_symbols, reverse_latex_symbol

    if (symbol := latex_symbols.get(f"\\{written}")) is not None:
        yield Completion(symbol, "latex")
        return
    if len(written) == 1 and not written.isascii():
        if written in reverse_latex_symbol:
            yield Completion(reverse_latex_symbol[written], "latex")
        elif name := unicodedata.name(written, ""):
            yield Completion(f"\\{name}", "unicode")
        return
    yield from (Completion(name, "latex") for name in sorted(latex_symbols) if name.startswith(f"\\{written}"))
    if len(written) >= _MIN_NAME and written.isupper():
        try:
            yield Completion(unicodedata.lookup(written), "unicode")
        except KeyError:
            yield from (Completion(f"\\{name}", "unicode") for name in _list_names() if name.startswith(written))


def _list_names() -> Iterator[str]:
    for start, stop in _NAMED:
        yield from (unicodedata.name(chr(point), "") for point in range(start, stop))
