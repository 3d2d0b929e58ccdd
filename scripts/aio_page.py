"""Writes docs/reference/aio.md from what rpyc_kernel.aio has."""

import inspect
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel import aio  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "aio.md"
_HEAD = """\
# Clients in event loops

All that `rpyc_kernel.aio` has. `python scripts/aio_page.py` writes this page from the docstrings, which say more:
arguments, answers, errors. [In asyncio and trio](../async.md) shows how it is used.
"""


def write_page() -> str:
    """The whole page."""
    functions = [name for name in aio.__all__ if not inspect.isclass(getattr(aio, name))]
    classes = [name for name in aio.__all__ if name not in functions]
    parts = [_HEAD, "## Functions\n", _table({name: getattr(aio, name) for name in functions})]
    for name in classes:
        kind = getattr(aio, name)
        what = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
        parts += [f"## `{name}`\n", f"{textwrap.fill(what, 118)}\n", _table(_members_of(kind))]
    return "\n".join(parts)


def _members_of(kind: type) -> dict[str, object]:
    found = {
        name: value
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("rpyc_kernel.")
        for name, value in vars(base).items()
        if not name.startswith("_")
    }
    return dict(sorted(found.items()))


def _table(members: dict[str, object]) -> str:
    rows = [f"| `{_call(name, value)}` | {_is_awaited(value)} | {_tell(value)} |" for name, value in members.items()]
    return "\n".join(["| name | awaited | what it is |", "|---|---|---|", *rows, ""])


def _call(name: str, value: object) -> str:
    if isinstance(value, property):
        return name
    parts = []
    for each in inspect.signature(value).parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in "".join(parts):
            parts.append("*")
        parts.append(str(each.replace(annotation=each.empty, default=each.empty)))
    return f"{name}({', '.join(part for part in parts if part != 'self')})"


def _is_awaited(value: object) -> str:
    function = inspect.unwrap(value)
    is_opening = "Opening" in str(getattr(function, "__annotations__", {}).get("return"))
    return "yes, or entered" if is_opening else "yes" if inspect.iscoroutinefunction(function) else ""


def _tell(value: object) -> str:
    text = inspect.getdoc(value) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("|", r"\|").replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(write_page())
