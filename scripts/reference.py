"""Writes docs/reference/commands.md and roles.md from the tables of commands and channels."""

import re
import sys
import textwrap
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from rpyc_kernel.core import introspection, kinds, shapes  # noqa: E402
from rpyc_kernel.core.commands import COMMANDS, REQUIRED, Command, Parameter  # noqa: E402
from rpyc_kernel.core.contract import Role  # noqa: E402
from rpyc_kernel.core.kinds import ArgumentKind  # noqa: E402
from rpyc_kernel.core.shapes import Answer  # noqa: E402
from rpyc_kernel.wire import handshake  # noqa: E402

REFERENCE = ROOT / "docs" / "reference"

_HEAD = """\
# Commands

What a client can ask of a kernel's hub, by value. `python scripts/reference.py` writes this page from the table of
commands in `rpyc_kernel/core/commands.py`, of which hub, worker and clients are made, too; change it there.

The methods of `KernelClient` give these commands, and their docstrings say the same in Python's terms. A stock RPyC 6
client calls them on the root: `connection.root.execute("6*7")`; see [the guide](../guide.md#without-this-package), and
[the wire](wire.md#calls-by-value) for clients in other languages. Arguments can be given by place or by name.

*Immediate* commands are done at once, beside the code that runs, and queue nothing. The others queue code, or wait for
events. What the *worker* answers is one JSON text; if it is starting, it has four seconds.

Every command can raise `RequestError`: an argument is not what the command takes, or it is not possible now. One that
is not open to the caller's [role](roles.md) raises `NotPermitted`. Those that the worker answers raise `WorkerBusy`
where it does not answer, and `KernelDied` where there is none.
"""


def write_page() -> str:
    """The whole page."""
    parts = [
        _HEAD,
        _table("command | what it does | who may | immediate | answered by", map(_sum_up, COMMANDS.values())),
        *map(_describe, COMMANDS.values()),
        "## Kinds of arguments\n",
        _table("kind | what it takes", [f"`{kind.name}` | {kind.doc}" for kind in _members(kinds, ArgumentKind)]),
        "## Answers\n",
        _table("answer | what it is", [f"`{each.name}` | {each.doc}" for each in _members(shapes, Answer) if each.doc]),
        "The others are JSON objects with these fields; a list of them is a JSON array.\n",
        _table("answer | fields", map(_describe_class, sorted({_class_of(each) for each in COMMANDS.values()} - {""}))),
    ]
    return "\n".join(parts)


_BEARERS = {
    "viewer": (Role.VIEWER, False),
    "viewer with values": (Role.VIEWER, True),
    "asker": (Role.ASKER, False),
    "asker with values": (Role.ASKER, True),
    "editor": (Role.EDITOR, True),
    "owner": (Role.OWNER, True),
}


def write_roles_page() -> str:
    """The page of roles, with its table as it should be."""
    text, head = (REFERENCE / "roles.md").read_text(), "\n| operation |"
    rows = [
        f"[`{command.name}`](commands.md#{command.name}) | "
        + " | ".join(_mark(command.is_open_to(role, has_values=values)) for role, values in _BEARERS.values())
        for command in COMMANDS.values()
    ]
    for channel, least in handshake.CHANNEL_ROLES.items():
        open_to = " | ".join(_mark(Role.allows(role, least)) for role, _ in _BEARERS.values())
        rows.append(f"[channel](wire.md) {handshake.CHANNEL_NAMES[channel]} | {open_to}")
    rows.append(
        "stock RPyC by the unix sockets in the kernel's folder | "
        + " | ".join(_mark(name == "owner") for name in _BEARERS)
    )
    return text.partition(head)[0].rstrip("\n") + "\n\n" + _table(f"operation | {' | '.join(_BEARERS)}", rows)


def _mark(may: bool) -> str:
    return "yes" if may else "no"


def _sum_up(command: Command) -> str:
    who = "who sees values" if command.shows_values else f"{command.role}s"
    is_immediate = "yes" if command.is_immediate else "no"
    by = "worker" if command.by_worker else "hub"
    short = command.doc.split(". ")[0].removesuffix(".")
    return f"[`{command.name}`](#{command.name}) | {short} | {who} | {is_immediate} | {by}"


def _describe(command: Command) -> str:
    given = ", ".join(
        each.name if each.default is REQUIRED else f"{each.name}={each.default!r}" for each in command.parameters
    )
    parts = [f"## `{command.name}`\n", f"`{command.name}({given})`\n", f"{textwrap.fill(command.doc, 120)}\n"]
    if command.parameters:
        parts.append(_table("parameter | kind | default | takes", map(_describe_parameter, command.parameters)))
    parts.append(f"{_tell_answer(command)} {_tell_who(command)}{_tell_errors(command)}\n")
    return "\n".join(parts)


def _tell_answer(command: Command) -> str:
    link = re.sub(rf"\b{command.answer.name}\b", f"[{command.answer.name}](#answers)", str(command.answer))
    by = ", from the worker" if command.by_worker else ""
    return f"Answer: {link}{by}."


def _tell_who(command: Command) -> str:
    who = "those who see values" if command.shows_values else f"{command.role}s and all above"
    return f"For {who}; {'immediate' if command.is_immediate else 'not immediate'}."


def _tell_errors(command: Command) -> str:
    return f" Errors: {', '.join(f'`{error.__name__}`' for error in command.raises)}." if command.raises else ""


def _describe_parameter(parameter: Parameter) -> str:
    takes = [parameter.doc]
    if parameter.choices:
        takes.append(f"one of {', '.join(f'`{choice}`' for choice in parameter.choices)}")
    if parameter.limits:
        least, most = parameter.limits
        takes.append(
            f"at least {least:,g}" if most == 2**62 else f"from {least:,g} to {most:,g}; others as the nearest"
        )
    kind = f"[{parameter.kind.name}](#kinds-of-arguments)" + (" or None" if parameter.may_be_none else "")
    default = "required" if parameter.default is REQUIRED else f"`{parameter.default!r}`"
    return f"`{parameter.name}` | {kind} | {default} | {'; '.join(takes)}"


def _class_of(command: Command) -> str:
    return "" if command.answer.doc or not hasattr(introspection, command.answer.name) else command.answer.name


def _describe_class(name: str) -> str:
    return f"`{name}` | {', '.join(f'`{each.name}`' for each in fields(getattr(introspection, name)))}"


def _members(module, kind: type) -> list:
    return [each for each in vars(module).values() if isinstance(each, kind)]


def _table(head: str, rows) -> str:
    ruler = "|".join("---" for _ in head.split("|"))
    return "\n".join([f"| {head} |", f"|{ruler}|", *(f"| {row} |" for row in rows), ""])


if __name__ == "__main__":
    (REFERENCE / "commands.md").write_text(write_page())
    (REFERENCE / "roles.md").write_text(write_roles_page())
