"""Break one promise after another, and print which are broken without a test that fails; see `scripts/mutants`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants import Mutant, load_mutants
from tests.support.processes import list_processes, was_started_with

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "rpyc_kernel"
PASSED, FAILED = 0, 1  # of pytest; any other exit status means that it could not run the tests


def main(arguments: list[str]) -> int:
    """Run the mutants that were asked for; the exit status is 1 if one survives or cannot be tried."""
    options = _read_options(arguments)
    chosen = [m for m in load_mutants() if options.pattern.lower() in f"{m.file} {m.promise}".lower()]
    if not chosen:
        print(f"no mutant has {options.pattern!r} in its file or promise")
        return 2
    if options.list:
        for mutant in chosen:
            print(f"{mutant.file}: {mutant.promise}")
        return 0
    with contextlib.ExitStack() as stack:
        copies: SimpleQueue[Path] = SimpleQueue()
        for _ in range(options.jobs):
            copies.put(stack.enter_context(_copy_project()))
        troubles = _check_unbroken(chosen, copies.get_nowait()) if not options.trust else []
        if troubles:
            print("\n".join(troubles))
            return 1
        for _ in range(options.jobs - copies.qsize()):
            copies.put(stack.enter_context(_copy_project()))
        verdicts = _try_all(chosen, copies, options.jobs)
    wrong = [(mutant, verdict) for mutant, verdict in verdicts if verdict != "noticed"]
    print(f"\n{len(chosen) - len(wrong)} of {len(chosen)} mutants noticed")
    for mutant, verdict in wrong:
        print(f"\n{verdict}: {mutant.promise}\n  {PACKAGE}/{mutant.file}\n  tests: {' '.join(mutant.tests)}")
    return 1 if wrong else 0


def _read_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="only those with this text in their file or promise")
    parser.add_argument("-j", "--jobs", type=int, default=1, metavar="N", help="how many to try at a time (default 1)")
    parser.add_argument("--list", action="store_true", help="show them, try none")
    parser.add_argument("--trust", action="store_true", help="do not first run the tests on the code as it is")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _copy_project() -> Iterator[Path]:
    """What git knows of the project, as it stands in the working tree, in a folder of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        yield Path(folder)


def _check_unbroken(mutants: list[Mutant], copy: Path) -> list[str]:
    """What is wrong before anything is broken."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    print(f"{len(tests)} tests on the code as it is …", flush=True)
    if _run_tests(copy, tests) == PASSED:
        return []
    return ["these tests must pass before anything is broken; run scripts/test on:", *tests]


def _try_all(mutants: Iterable[Mutant], copies: SimpleQueue[Path], jobs: int) -> list[tuple[Mutant, str]]:
    def attempt(mutant: Mutant) -> tuple[Mutant, str]:
        copy = copies.get()
        started = time.monotonic()
        try:
            verdict = _try_one(mutant, copy)
        finally:
            copies.put(copy)
        print(f"{verdict:9} {time.monotonic() - started:5.1f} s  {mutant.file}: {mutant.promise}", flush=True)
        return mutant, verdict

    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(attempt, mutants))


def _try_one(mutant: Mutant, copy: Path) -> str:
    file = copy / PACKAGE / mutant.file
    source = file.read_text("utf-8")
    if source.count(mutant.before) != 1:
        return "stale"
    file.write_text(source.replace(mutant.before, mutant.after), "utf-8")
    try:
        status = _run_tests(copy, mutant.tests)
    finally:
        file.write_text(source, "utf-8")
    return {PASSED: "SURVIVED", FAILED: "noticed"}.get(status, f"pytest {status}")


def _run_tests(copy: Path, tests: Iterable[str]) -> int:
    # The path goes before the environment's own, so that the processes which the tests start are broken, too.
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout", "60"]
    command += ["--timeout-method", "thread"]  # an exception might be taken for one that the code has to survive
    try:
        return subprocess.run(
            [*command, *(f"tests/{test}" for test in tests)],
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
    finally:
        _end_kernels(copy)


def _end_kernels(copy: Path) -> None:
    """Kill what a test has left that was cut off for taking too long; hubs first, which would start new workers."""
    for process in list_processes():
        if was_started_with(process.pid, "PYTHONPATH", str(copy)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
