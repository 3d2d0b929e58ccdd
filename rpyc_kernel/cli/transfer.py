"""Commands that copy values between a kernel and files: pull, push."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import sys

from plumbum import cli

from rpyc_kernel.cli import files
from rpyc_kernel.cli.application import OK, JsonCommand, UsageError
from rpyc_kernel.errors import KernelError

_SHOWN_FROM_BYTES = 16_000_000
_BAR = 30


class Pull(JsonCommand):
    """Write the value of an expression to a file; slices say what is wanted, as in 'table[100:200]'.

    The file's name says the format: .npy, .npz (arrays by name), .csv, .parquet, .arrow or .feather; any other name is
    raw bytes, and '-' is standard output.
    """

    USAGE = "    {progname} [SWITCHES] NAME EXPRESSION FILE\n"
    allow_pickle = cli.Flag(
        "--allow-pickle", help="also take values that only a pickle carries; opening it runs code the kernel chooses"
    )

    def main(self, name: str, expression: str, file: str) -> int:
        if files.has_format(expression) and not files.has_format(file) and file != "-":
            raise UsageError(f"{expression!r} is named like a file and {file!r} is not; use {self.describe_usage()}")
        with self.connect(name, joins=False) as kernel:
            value = kernel.pull(expression, progress=ProgressBar(), allow_pickle=self.allow_pickle)
        try:
            files.save(value, file)
        except OSError as error:
            if file == "-":
                raise
            raise KernelError(f"{file} cannot be written: {error.strerror or error}") from None
        if file != "-":
            what = files.describe(value)
            self.write_answer({"file": file, "value": what}, [f"{file}: {what}"])
        return OK


class Push(JsonCommand):
    """Set a variable of a kernel to what a file holds.

    The file's name says the format, as for pull. Tables become pandas tables; raw bytes stay bytes.
    """

    USAGE = "    {progname} [SWITCHES] NAME VARIABLE FILE\n"

    def main(self, name: str, variable: str, file: str) -> int:
        try:
            value = files.load(file)
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}; use {self.describe_usage()}") from None
        with self.connect(name, joins=False) as kernel:
            kernel.push({variable: value}, progress=ProgressBar())
        what = files.describe(value)
        self.write_answer({"variable": variable, "value": what}, [f"{variable}: {what}"])
        return OK


class ProgressBar:
    """Shows on a terminal's standard error how far a long transfer is."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        """Show it."""
        if not self._is_shown or total < _SHOWN_FROM_BYTES:
            return
        full = _BAR * done // total
        end = "\n" if done == total else ""
        bar = f"\r[{'#' * full}{' ' * (_BAR - full)}] {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        print(bar, end=end, file=sys.stderr, flush=True)
