"""Which threads and files of the package one execution passes, in each process.

``python -m benchmarks.way`` lists them. Every process that it starts loads this module first and notes, while a shared
byte says so, each thread and file in which a function is called. What is noted in most of the executions is on the way;
what is noted in a few of them, such as the hub's clock, is not.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

_ROUNDS = 20
_VARIABLE = "RK_BENCH_WAY"
_SWITCH, _NOTES = "switch", "notes"
_STARTUP = "import runpy; runpy.run_path({file!r}, run_name='way')\n"
_CLIENT = """
import mmap, os, rpyc_kernel
kernel = rpyc_kernel.start("way", engine="plain")
try:
    for _ in range(50):
        kernel.execute("pass")
    status = kernel.status()
    with open({switch!r}, "r+b") as file, mmap.mmap(file.fileno(), 1) as switch:
        for number in range(1, {rounds} + 1):
            switch[0] = number
            kernel.execute("pass")
            switch[0] = 0
    print(os.getpid(), status["hub_pid"], status["worker_pid"])
finally:
    kernel.shutdown()
"""


def main() -> None:
    """Print what is passed."""
    with tempfile.TemporaryDirectory(prefix="rk-way-") as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(_STARTUP.format(file=str(Path(__file__).resolve())))
        (folder / _SWITCH).write_bytes(b"\0")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([name, *filter(None, [os.environ.get("PYTHONPATH")])]),
            "RPYC_KERNEL_RUNTIME_DIR": str(folder / "r"),
            "RPYC_KERNEL_STATE_DIR": str(folder / "s"),
            _VARIABLE: name,
        }
        code = _CLIENT.format(switch=str(folder / _SWITCH), rounds=_ROUNDS)
        client = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        pids = client.communicate()[0].split()
        who = dict(zip(pids, ("client", "hub", "worker"), strict=True))
        noted = {tuple(line.split("\t")) for line in (folder / _NOTES).read_text().splitlines()}
    passed = Counter((who[pid], thread, file) for pid, _, thread, file in noted if pid in who)
    way = sorted(place for place, times in passed.items() if times > _ROUNDS / 2)
    threads = {(who, thread) for who, thread, _ in way}
    for who, thread in sorted(threads):
        print(f"\n{who}, thread {thread}")
        print(*(f"  {file}" for *place, file in way if place == [who, thread]), sep="\n")
    files = {file for *_, file in way}
    print(f"\none execution passes {len(threads)} threads and {len(files)} files of the package")


def note_calls(folder: Path) -> None:
    """Note from now on, in this process, the threads and files where functions are called, once for each round."""
    with open(folder / _SWITCH, "r+b") as file:
        switch = mmap.mmap(file.fileno(), 1)
    notes = open(folder / _NOTES, "a", buffering=1)  # noqa: SIM115 - for the life of the process
    package = f"{os.sep}rpyc_kernel{os.sep}"
    seen: set[tuple[int, int, str]] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        number = switch[0]
        if not number or event != "call":
            return
        _, is_ours, file = frame.f_code.co_filename.rpartition(package)
        place = (number, threading.get_ident(), file)
        if is_ours and place not in seen:
            seen.add(place)
            notes.write(f"{os.getpid()}\t{number}\t{threading.current_thread().name}\t{file}\n")

    threading.setprofile(note)
    sys.setprofile(note)


if __name__ == "way":
    note_calls(Path(os.environ[_VARIABLE]))
elif __name__ == "__main__":
    main()
