"""Commands about code: exec, run, interrupt, cancel."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import sys
import zipfile
from collections.abc import Iterator
from types import FrameType

from plumbum import cli

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    OK,
    RAISED,
    JoiningCommand,
    JsonCommand,
    RoleCommand,
    UsageError,
    named_again,
    parse_execution,
)
from rpyc_kernel.cli.reading import decode, is_from_input, locate, read_code, read_file, read_standard_input
from rpyc_kernel.cli.showing import LADDER, Show, ShowFile, ShowProgram, TimeLimit, advise_force
from rpyc_kernel.cli.starting import StartingCommand
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.client.address import host_of
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Force
from rpyc_kernel.errors import NotRunning
from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.system.descriptors import take_away
from rpyc_kernel.system.processes import ENDING_SIGNALS


class Exec(JoiningCommand):
    """Run code in a kernel, and show what it prints and the value of its last expression.

    Several pieces of code are joined by line ends; '-', or none at all, reads the code from standard input. Code that
    begins with a dash needs '--' before it. Ctrl-C interrupts the code; a second one leaves it running.

    Standard input answers what the code asks. The exit status is that of the code: 1 if it raised, 130 if it was
    interrupted, else what it gave to sys.exit. With --json each event is an object on a line of its own.

    With --timeout the code has so many seconds from here on, also to wait for its turn. Then it is interrupted, and if
    it goes on, an exception is raised in it; --force terminate ends its worker after that, with the namespace of all,
    and --force signal leaves it at the interrupt. With --detach, too, it is left running, and its number written. The
    exit status is 124.

    Examples:
        rpyc-kernel exec demo 'x = 6 * 7' 'x'
        rpyc-kernel exec demo - < script.py
        rpyc-kernel exec demo 'input().upper()' < answers.txt
        rpyc-kernel exec demo --timeout 60 'train(epochs=1)'
    """

    USAGE = "    {progname} [SWITCHES] NAME [CODE... | -]\n"

    is_detached = cli.Flag("--detach", help="write the number of the execution, and leave it; with --timeout then only")
    timeout = cli.SwitchAttr("--timeout", float, help="end the code after so many seconds", argname="SECONDS")
    force = cli.SwitchAttr(
        "--force", cli.Set(*LADDER), default=Force.EXCEPTION, help="how far to go to end it when its time is over"
    )

    def main(self, name: str, *code: str) -> int:
        limit_s = check_limit(self.timeout)
        if limit_s == 0:
            raise UsageError(
                "--timeout 0 leaves the code no time; use more seconds, or --detach alone to leave it queued"
            )
        source = read_code(code)
        with self.join(name) as kernel:
            if self.is_detached and limit_s is None:
                self.leave(kernel, name, lambda: kernel.submit(source))
                return OK
            limit = None if limit_s is None else TimeLimit(limit_s, "" if self.is_detached else str(self.force))
            show = Show(
                kernel,
                target=name,
                shows_values=True,
                has_input=not is_from_input(code),
                as_json=self.as_json,
                limit=limit,
            )
            return show.run(source)


class Run(StartingCommand, RoleCommand, JsonCommand):
    """Run a program in a kernel of its own, which ends with it, or in one that is there already.

    '-' reads the program from standard input. What follows the file is for the program, in sys.argv. The exit status is
    the program's own. With --json each event is an object on a line of its own.

    Examples:
        rpyc-kernel run program.py --its-own-switch
        rpyc-kernel run --kernel demo program.py --its-own-switch
        rpyc-kernel run --kernel demo --reload program.py
    """

    USAGE = "    {progname} [SWITCHES] [FILE | -] [ARGUMENTS...]\n"
    NAMES_KERNEL = False
    WORDS_BEFORE_REST = 1

    DEFAULT_ENGINE = "plain"  # a program is Python alone, and magics are of no use to it
    DEFAULT_PROFILE: bool = False  # as `python FILE`, which reads nothing that is meant for a prompt
    kernel_name = cli.SwitchAttr("--kernel", str, help="run it in this kernel's namespace instead", argname="NAME")
    is_reloading = cli.Flag(
        "--reload",
        help="with --kernel: first import anew what modules of yours have changed; the kernel reads the file",
    )

    def main(self, file: str = "-", *arguments: str) -> int:
        if self.is_reloading and (not self.kernel_name or file == "-"):
            raise UsageError("--reload is for a file and a kernel that is there already; name both, or leave it out")
        if self.wanted_role and not self.kernel_name:
            raise UsageError("--role is for a kernel that others share; name it by --kernel, or leave --role out")
        if self.kernel_name and (arguments or self.is_reloading):
            return self._run_in_kernel(file, arguments)
        has_own_kernel = file != "-" and not self.kernel_name
        is_application = has_own_kernel and (os.path.isdir(file) or zipfile.is_zipfile(file))
        is_read_by_worker = is_application or (has_own_kernel and os.path.isfile(file))  # a pipe cannot be
        source = ""
        if file == "-":
            source = decode(read_standard_input(), "standard input")
        elif not is_application:
            # Of what the worker reads, only whether it can be.
            source = decode(read_file(file, 0 if is_read_by_worker else -1), file)
        has_input, shown = file != "-", None if file == "-" else file
        if self.kernel_name:
            with self.connect(self.kernel_name) as kernel:
                show = Show(
                    kernel,
                    target=self.kernel_name,
                    shows_values=False,
                    has_input=has_input,
                    as_json=self.as_json,
                    file=shown,
                )
                return show.run(source)
        preparation = _prepare_program(file, arguments) if file != "-" or arguments else ""
        # The program reads by itself what changes on its way through prompts. A terminal asks for it.
        is_handed_on = has_input and sys.stdin is not None and not sys.stdin.isatty()
        with self._start_private(sys.stdin.fileno() if is_handed_on else None) as kernel:
            program = ShowProgram(
                kernel,
                preparation,
                has_input=has_input and not is_handed_on,
                as_json=self.as_json,
                file=shown,
                program=(os.path.abspath(file) if self.cwd else file, *arguments) if is_read_by_worker else (),
            )
            return program.run(source)

    def _run_in_kernel(self, file: str, arguments: tuple[str, ...]) -> int:
        """Run a file that the kernel reads, as a program with its arguments."""
        name = str(self.kernel_name)
        if file == "-":
            raise UsageError(
                "arguments are for a file, which a kernel that is there reads; name one, or leave them out"
            )
        if arguments and host_of(name):  # without any, what is run is the file that is here
            raise UsageError(
                "a program takes arguments on its own machine; "
                f"'rpyc-kernel submit {named_again(name)} --file {shlex.quote(file)} -- …' runs one that is there"
            )
        path = locate(file, name)
        with self.connect(name) as kernel:
            show = ShowFile(kernel, arguments, bool(self.is_reloading), target=name, as_json=self.as_json)
            return show.run(path)

    @contextlib.contextmanager
    def _start_private(self, standard_input: int | None) -> Iterator[KernelClient]:
        """Start a kernel that ends with this process. A signal meanwhile waits until the kernel can notice our end.

        Standard input becomes the kernel's: who writes to it shall see when the program reads no more.
        """
        received: list[int] = []

        def remember(number: int, _: FrameType | None) -> None:
            received.append(number)

        deferred = [number for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, remember) for number in deferred}
        try:
            name = f"run-{os.getpid()}-{secrets.token_hex(3)}"
            kernel = self.start(name, is_private=True, standard_input=standard_input)
            if standard_input is not None:
                os.close(take_away(standard_input))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        with kernel:
            if received:
                signal.raise_signal(received[0])
            yield kernel


class Interrupt(JsonCommand):
    """Interrupt what runs in a kernel, or one execution by its number if that is what runs."""

    USAGE = "    {progname} [SWITCHES] [NAME] [EXECUTION]\n"

    force = cli.SwitchAttr(
        "--force",
        cli.Set(*LADDER),
        default=Force.SIGNAL,
        help="exception: also where user code has taken SIGINT over; terminate: end the worker and its namespace",
    )

    def main(self, name: str = DEFAULT_NAME, execution: str = "") -> int:
        number = parse_execution(execution, name) if execution else None
        with self.connect(name, insists=True) as kernel:
            result = kernel.interrupt(number, force=str(self.force))
            if result.status == "not-running" and number is not None:
                _refuse_queued(kernel, name, number)
        lines = {
            "stopped": f"execution {result.execution} was interrupted",
            "not-running": "nothing is running" if number is None else f"execution {number} is not running",
            "unanswered": f"execution {result.execution} goes on{advise_force(str(self.force))}. It is here:\n"
            + sanitize(result.stack).rstrip(),
        }
        answer = {"status": result.status, "execution": result.execution, "stack": result.stack}
        self.write_answer(answer, [lines[result.status]])
        return RAISED if result.status == "unanswered" else OK


class Cancel(JsonCommand):
    """Take an execution out of a kernel's queue."""

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION\n"

    def main(self, name: str, execution: str) -> int:
        number = parse_execution(execution, name)
        with self.connect(name, insists=True) as kernel:
            kernel.cancel(number)
        self.write_answer({"execution": number}, [f"execution {number} is cancelled"])
        return OK


class Approve(JsonCommand):
    """Let an execution run for which somebody asks; 'rpyc-kernel status' lists them, 'log --execution' has all code.

    Example:
        rpyc-kernel approve demo 7
    """

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION\n"

    def main(self, name: str, execution: str) -> int:
        number = parse_execution(execution, name)
        with self.connect(name, insists=True) as kernel:
            kernel.approve(number)
        self.write_answer({"execution": number}, [f"execution {number} is approved"])
        return OK


class Decline(JsonCommand):
    """Have an execution not run for which somebody asks.

    Example:
        rpyc-kernel decline demo 7 --reason 'that folder is needed'
    """

    USAGE = "    {progname} [SWITCHES] NAME EXECUTION\n"
    reason = cli.SwitchAttr("--reason", str, default="", help="what they are told")

    def main(self, name: str, execution: str) -> int:
        number = parse_execution(execution, name)
        with self.connect(name, insists=True) as kernel:
            kernel.decline(number, str(self.reason))
        self.write_answer({"execution": number}, [f"execution {number} is declined"])
        return OK


def _refuse_queued(kernel: KernelClient, target: str, number: int) -> None:
    """Say so if what cannot be interrupted yet will run later."""
    if kernel.is_queued(number):
        how = f"'rpyc-kernel cancel {named_again(target)} {number}' takes it out of the queue"
        raise NotRunning(f"execution {number} is queued, not running; {how}")


def _prepare_program(file: str, arguments: tuple[str, ...]) -> str:
    """Code that makes a kernel look to a program like an interpreter started for it; leaves no other names behind."""
    lines = [f"__import__('sys').argv[:] = {[file, *arguments]!r}"]
    if file != "-":
        path = os.path.abspath(file)
        folder = os.path.dirname(os.path.realpath(path))
        lines += [f"__import__('sys').path[0] = {folder!r}", f"__file__ = {path!r}"]
    return "\n".join(lines)
