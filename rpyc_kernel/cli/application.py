"""What all commands share: how arguments are read, how answers are written, how a kernel is reached."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from plumbum import cli
from plumbum.cli.switches import MissingArgument, PositionalArgumentsError, SwitchError

from rpyc_kernel.cli.hiding import read_connect_string
from rpyc_kernel.client import launch
from rpyc_kernel.client.address import host_of
from rpyc_kernel.client.connect_string import SCHEME, from_environment, is_remembered, remember, shown_of
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import ROLES
from rpyc_kernel.errors import ConnectionFailed, NoSuchKernel, RequestError
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.system.own_command import as_typed_here

DEFAULT_NAME = "default"
OK, RAISED, USAGE, NO_KERNEL, TIMED_OUT, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 124, 130, 143
"""Exit statuses: success, user code that raised, a wrong request, no kernel in reach, a time limit, Ctrl-C, SIGTERM."""
SIGNALLED = 128
"""To this the number of a signal is added, as shells do."""

_FOUND_BY = {
    "execution": "which execution? 'rpyc-kernel status {target}' shows them",
    "invitation": "which invitation? 'rpyc-kernel sessions {target}' shows them",
    "session": "which session? 'rpyc-kernel sessions {target}' shows them",
}
"""What is said of a word that is missing, by what `main` of a command calls it."""
_KINDS = {int: "a whole number", float: "a number"}


class UsageError(RequestError):
    """The command line asks for something that is not there."""


class OutputClosed(Exception):
    """Whoever read standard output has had enough."""


def status_of(error: BaseException) -> int:
    """The exit status of a command that fails by an error."""
    if isinstance(error, (NoSuchKernel, ConnectionFailed)):
        return NO_KERNEL
    return USAGE if isinstance(error, RequestError) else RAISED


class Application(cli.Application):
    """A plumbum application that leaves errors to whoever runs it.

    Plumbum itself would write them to standard output, with a page of help, and take a closed pipe for a failure.
    """

    def _parse_and_dispatch(self, argv: list[str]) -> Any:
        try:
            return super()._parse_and_dispatch(argv)
        except BrokenPipeError:
            raise OutputClosed from None

    def _parse_args(self, argv: list[str]) -> Any:
        try:
            return super()._parse_args(argv)
        except SwitchError as error:
            raise self._as_usage(error) from None

    def _validate_args(self, swfuncs: Any, tailargs: Any) -> Any:
        try:
            return super()._validate_args(swfuncs, tailargs)
        except PositionalArgumentsError as error:
            raise self._as_usage(PositionalArgumentsError(self._explain_words(tailargs) or str(error))) from None
        except SwitchError as error:
            if type(error).__name__.startswith("Show"):  # not an error: --help and the like
                raise
            raise self._as_usage(error) from None

    def _explain_words(self, words: list[str]) -> str:
        """Say which word is missing, or too many, as `main` names them."""
        expected = list(inspect.signature(self.main).parameters.values())
        if len(words) > len(expected):
            return f"{words[len(expected)]!r} is a word too many"
        missing = [each.name for each in expected[len(words) :] if each.default is each.empty]
        if not missing:
            return ""
        if missing[0] == "name":
            return "which kernel? 'rpyc-kernel list' shows them"
        found_by = _FOUND_BY.get(missing[0])
        return found_by.format(target=named_again(words[0])) if found_by else f"no {missing[0].upper()} is given"

    def _as_usage(self, error: SwitchError) -> UsageError:
        text = str(error).partition(":\n")[0]
        for kind, words in _KINDS.items():
            text = text.replace(str(kind), words)
        if isinstance(error, PositionalArgumentsError):
            text += f"; use {self.describe_usage()}"
        return UsageError(f"{text[:1].lower()}{text[1:]}; '{self.PROGNAME} --help' tells how to use it")

    def describe_usage(self) -> str:
        """What is expected, in quotes."""
        return f"'{(self.USAGE or '{progname}').strip().format(progname=self.PROGNAME)}'"


class CommandSet(Application):
    """Commands by name, each an application of its own."""

    CALL_MAIN_IF_NESTED_COMMAND = False
    HELP: ClassVar[str]
    PREFIX: ClassVar[str] = ""
    """What stands before the names of the commands."""
    _commands: ClassVar[Mapping[str, type[Application]]]

    @classmethod
    def offer(cls, commands: Mapping[str, type[Application]]) -> None:
        """Have these commands."""
        cls._commands = commands
        for name, command in commands.items():
            cls.subcommand(name, command)

    def main(self, *arguments: str) -> int:
        """Say what there is, where none of them was called."""
        if not arguments:
            print(self.HELP, end="", file=sys.stderr)
            return USAGE
        near = difflib.get_close_matches(arguments[0], self._commands, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(self._commands)}"
        raise UsageError(f"there is no command {self.PREFIX + arguments[0]!r}; {hint}")

    @cli.switch(["-h", "--help"], overridable=True, group="Meta-switches", help="show this")
    def help(self) -> None:
        """Show what there is."""
        print(self.HELP, end="")


class Command(Application):
    """One command."""

    NAMES_KERNEL = True
    """Whether the first word names a kernel, which may be anywhere.

    '-' then reads a connect string from standard input; without a word the one in the environment holds.
    """
    has_read_string = False
    """Whether it did read one."""
    WORDS_BEFORE_REST: int | None = None
    """After so many words everything belongs to the last one, also what looks like a switch."""

    def _parse_args(self, argv: list[str]) -> Any:
        return super()._parse_args(self._sort(argv))

    def _sort(self, argv: list[str]) -> list[str]:
        """Bring the switches to the front, so that '-' and a script's own switches can be taken for words."""
        switches: list[str] = []
        words: list[str] = []
        rest = list(argv)
        while rest and len(words) != self.WORDS_BEFORE_REST:
            argument = rest.pop(0)
            if argument == "--":
                break
            if argument == "-" or not argument.startswith("-"):
                words.append(argument)
                continue
            switches.append(argument)
            if self._takes_value(argument):
                if not rest:
                    raise self._as_usage(MissingArgument(f"switch {argument} needs a value"))
                switches.append(rest.pop(0))
        if self.NAMES_KERNEL and words[:1] == ["-"]:
            words[0], self.has_read_string = read_connect_string(), True
        elif self.NAMES_KERNEL and not words and not rest and (told := from_environment()):
            words = [remember(told)]
        return [*switches, "--", *words, *rest]

    def _takes_value(self, argument: str) -> bool:
        is_long = argument.startswith("--")
        if "=" in argument if is_long else len(argument) > 2:
            return False
        known = self._switches_by_name.get(argument.lstrip("-"))
        return known is not None and known.argtype is not None

    def connect(self, target: str, *, joins: bool = True, insists: bool = False, **options: Any) -> KernelClient:
        """Connect to the kernel the user named, with these further options of `launch.connect`.

        Where it ``insists``, unannounced if there is no room for one more who joins.
        """
        options.setdefault("on_loss", _Losses().tell)
        try:
            return launch.connect(target, joins=joins, **options)
        except ConnectionFailed as error:
            if not insists or type(error) is not ConnectionFailed:
                raise
            return launch.connect(target, joins=False, **options)


class _Losses:
    """Says on standard error what becomes of a command's connections, of all of them once."""

    def __init__(self) -> None:
        self._said = ""

    def tell(self, words: str) -> None:
        """Say it, if it is news; "" is the return."""
        if words != self._said:
            self._said = words
            tell(f"{words}; Ctrl-C gives up" if words else "connected again")


Command.unbind_switches("--help-all", "--version", "-v", "--completions")


class RoleCommand(Command):
    """A command that takes part, and may do so as less than its key gives."""

    role = cli.SwitchAttr(
        "--role",
        cli.Set(*ROLES),
        help="do no more than this role may; of an asker, code waits for approval; else all that the key gives",
        argname="ROLE",
    )

    @property
    def wanted_role(self) -> str | None:
        """The role that the switches say; None for the most that the key gives."""
        return str(self.role) if self.role else None

    def connect(self, target: str, *, joins: bool = True, insists: bool = False, **options: Any) -> KernelClient:
        """Connect as that."""
        return super().connect(target, joins=joins, insists=insists, role=self.wanted_role, **options)


class JsonCommand(Command):
    """A command whose answer a program may want to read."""

    as_json = cli.Flag("--json", help="write JSON, for a program to read")

    def write_answer(self, answer: Any, lines: Iterable[str]) -> None:
        """Write the answer for a program or for a person."""
        if self.as_json:
            print(json.dumps(answer, indent=1))
        else:
            for line in lines:
                print(sanitize(line))


class JoiningCommand(RoleCommand, JsonCommand):
    """A command that takes part, under a session of its own or one that is there."""

    session = cli.SwitchAttr("--session", str, help="the session to continue; else a new one", argname="ID")
    shown_name = cli.SwitchAttr("--as", str, help="how others see you; else your user name", argname="NAME")

    def join(self, name: str) -> KernelClient:
        """Connect to the kernel as who the switches say."""
        return self.connect(name, session=self.session, name=self.shown_name)

    def leave(self, kernel: KernelClient, target: str, queue: Callable[[], Execution], /, **more: str) -> None:
        """Queue code and write its number: on standard error if what comes in between keeps it from standard output."""
        number = 0
        try:
            number = queue().id
            self.write_answer({**more, "execution": number}, [str(number)])
            sys.stdout.flush()
        except RequestError:  # an answer: of what was refused, nothing is queued
            raise
        except (OSError, KeyboardInterrupt):
            what = f"execution {number} is queued" if number else "the code may be queued all the same"
            how = f"'rpyc-kernel status {named_again(target)}' shows it"
            tell(f"{what} in kernel {kernel_there(kernel.name, target)}; {how}")
            raise


def named_again(target: str) -> str:
    """How to name a kernel to the next command: as to this one, or '-' where that was told what must not be seen."""
    if not target.startswith(f"{SCHEME}:") or not is_remembered(target) or shown_of(from_environment()) == target:
        return target
    return "-"


def tell(message: str) -> None:
    """Say something on standard error, of which some may be a kernel's words; the commands in it work here."""
    print(as_typed_here(sanitize(message)), file=sys.stderr, flush=True)


def kernel_there(name: str, target: str) -> str:
    """A kernel's name, for people, with the host that the target names, where it names one."""
    host = sanitize_line(host_of(target))
    return f"{name!r} on {host}" if host else repr(name)


def parse_execution(text: str, target: str) -> int:
    """Read the number of an execution of a kernel; raises `UsageError` where it is none."""
    try:
        return int(text)
    except ValueError:
        how = f"'rpyc-kernel status {named_again(target)}' shows them"
        raise UsageError(f"{text!r} is not the number of an execution; {how}") from None
