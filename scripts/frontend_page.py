"""Writes docs/reference/frontend.md from the docstrings of what rpyc_kernel.frontend exports."""

import dataclasses
import enum
import inspect
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel import frontend  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "frontend.md"
_HEAD = """\
# What front ends are built on

All that `rpyc_kernel.frontend` has. `python scripts/frontend_page.py` writes this page from the docstrings, which say
more. [Write your own client](../clients.md) shows how it is used; the events themselves are told in
[events](events.md).
"""
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n     .*)*)", re.MULTILINE)


def write_page() -> str:
    """The whole page."""
    exported = {name: getattr(frontend, name) for name in frontend.__all__}
    return "\n".join([_HEAD, *(_describe(name, value) for name, value in exported.items())])


def members_of(kind: type) -> dict[str, str]:
    """What a class has for those who use it, each with what its docstring says, "" for nothing."""
    if issubclass(kind, enum.Enum):
        return {name: str(member.value) for name, member in kind.__members__.items()}
    doc = inspect.getdoc(kind) or ""
    told = {name: " ".join(text.split()) for name, text in _ENTRY.findall(_section(doc, "Attributes"))}
    fields = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    members = {
        name: (inspect.getdoc(value) or "").partition("\n")[0]
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("rpyc_kernel.")
        for name, value in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property | classmethod))
    }
    return {name: told.get(name) or members.get(name, "") for name in [*fields, *told, *members]}


def _describe(name: str, value: object) -> str:
    if not inspect.isclass(value) and not inspect.isfunction(value):
        return f"## `{name}`\n\nOne of {', '.join(f'`{each.__name__}`' for each in value.__args__)}.\n"
    call = "" if _has_no_call(value) else str(inspect.signature(value)).partition(" ->")[0]
    what = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ")
    lines = [f"## `{name}`", "", *([f"`{name}{_plain(call)}`", ""] if call else []), what, ""]
    if inspect.isclass(value) and (members := members_of(value)):
        lines += ["| name | what it is |", "|---|---|"]
        lines += [f"| `{member}` | {_cell(told)} |" for member, told in members.items()]
        lines.append("")
    return "\n".join(_fold(line) for line in lines)


def _has_no_call(value: object) -> bool:
    return inspect.isclass(value) and (
        issubclass(value, enum.Enum | Exception)
        or getattr(value, "_is_protocol", False)
        or dataclasses.is_dataclass(value)
    )


def _plain(call: str) -> str:
    """A signature without its types, which differ between versions of Python in how they are written."""
    names = [
        part.split(":")[0].split(" = ")[0].split("=")[0].strip() for part in re.split(r",(?![^\[]*\])", call[1:-1])
    ]
    return f"({', '.join(names)})"


def _section(doc: str, title: str) -> str:
    return f"{doc}\n\n".partition(f"{title}:\n")[2].partition("\n\n")[0]


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _fold(line: str) -> str:
    import textwrap

    return line if line.startswith(("|", "#", "`")) else "\n".join(textwrap.wrap(line, 118)) if line else line


if __name__ == "__main__":
    PAGE.write_text(write_page())
