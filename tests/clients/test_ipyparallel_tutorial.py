"""ipyparallel's tutorial of its direct views, run line by line on its own cluster, and ported on a group beside it."""

import ast
import itertools
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.support.folders import Folders

ROOT = Path(__file__).parents[2]
PAGE = "docs/source/tutorial/direct.md"
THEIR_BEGINNING = [
    "import time, signal, ipyparallel as ipp",
    "cluster = ipp.Cluster(n=4, log_level=40); _ = cluster.start_cluster_sync()",
]
THEIR_END = ["rc.close(); cluster.stop_cluster_sync()"]
OUR_BEGINNING = ["import time, rpyc_kernel", "%load_ext rpyc_kernel"]
OUR_END = ["group.shutdown()"]

SAME, PRINTED, NEAR, NUMBERS, ERROR = ALIKE = (
    "the same value",
    "the same text",
    "the same to a second",
    "as many numbers, all different",
    "the same error",
)
"""How what is shown is compared."""

PORT = [
    ("group = rpyc_kernel.group('tutorial-{0..3}', start=True, engine='ipython')", SAME),
    ("list(range(len(group)))", SAME),
    ("view = group", SAME),
    ("serial_result = list(map(lambda x: x**10, range(32)))", SAME),
    ("parallel_result = group.map(lambda x: x**10, range(32))", SAME),
    ("serial_result == parallel_result", SAME),
    ("group[1:3]", "it is shown by its kernels' names"),
    ("view = group", SAME),
    ("pass", SAME),  # whether a call waits, its name says: execute or submit, apply or apply_async
    ("group['a'] = 5", SAME),
    ("group['b'] = 10", SAME),
    ("group.apply(lambda x: a + b + x, 27)", SAME),
    ("pass", SAME),
    ("group.apply(lambda x: a + b + x, 27)", SAME),
    ("_ = group[::2].execute('c = a + b')", "a future is shown, where they show one"),
    ("_ = group[1::2].execute('c = a - b')", "as of the line before"),
    ("group['c']", SAME),
    (
        "def wait(t):\n    import time\n    tic = time.time()\n    time.sleep(t)\n    return time.time() - tic",
        SAME,
    ),
    ("ar = group.apply_async(wait, 2)", SAME),
    ("ar.result()", NEAR),
    ("ar = group.apply_async(wait, 10)", SAME),
    ("ar.done()", SAME),
    ("ar.result(1)", ERROR),
    ("pass", SAME),
    ("ar_list = [group.apply_async(wait, 3) for i in range(10)]", SAME),
    ("group.wait(ar_list)", SAME),
    ("ar_list[0].result()", NEAR),
    ("chosen = group[::2]", SAME),
    ("pass", SAME),
    ("ar = chosen.apply_async(lambda: 10)", SAME),
    ("ar.result()", SAME),
    ("chosen = group", SAME),
    ("pass", SAME),
    ("group.apply(lambda: 42)", SAME),
    ("group.push(dict(a=1.03234, b=3453))", "what returns nothing shows nothing"),
    ("group.pull('a')", SAME),
    ("group.kernels['tutorial-0'].pull('b')", SAME),
    ("group.pull(('a', 'b'))", SAME),
    ("group.push(dict(c='speed'))", "as of push"),
    ("found = group.pull('a')", SAME),  # `pull` is at once, beside the queue
    ("found", SAME),
    ("group['a'] = ['foo', 'bar']", SAME),
    ("group['a']", SAME),
    ("group.scatter('a', range(16))", SAME),
    ("group['a']", SAME),
    ("group.gather('a')", "ranges make a range: theirs, a list of ranges, where the page shows a list of numbers"),
    (
        "group.gather('a')",
        "their page shows it with block=False, but has set True: there is a list, which has no 'get'",
    ),
    ("list(group.gather('a'))[3]", "as of the line before the last: theirs is the fourth piece"),
    ("ar = group.apply_async(time.sleep, 5); time.sleep(1)", SAME),  # who types takes as long: it runs by then
    ("_ = group.interrupt()", "a future of theirs is shown; ours has waited, and says what came of it"),
    ("ar.result()", ERROR),
    ("def getpid():\n    import os\n    return os.getpid()", SAME),
    ("group.apply(getpid)", NUMBERS),
    ("import numpy as np", SAME),
    ("A = np.random.random((64, 48))", SAME),
    ("def pmul(A, B):\n    return A * B", SAME),
    ("C_local = A * A", SAME),
    (
        "group.scatter('A', A); group.scatter('B', A); _ = group.execute('C = A * B'); C_remote = group.gather('C')",
        SAME,
    ),
    ("(C_local == C_remote).all()", SAME),
    ("def echo(x):\n    return str(x)", SAME),
    (
        "group.scatter('_x', list(range(5))); _ = group.execute('_y = [str(_x)]'); group.gather('_y')",
        "their pieces are ranges, as they were given",
    ),
    ("group.map(echo, range(5))", SAME),
    ("group.scatter('x', range(64))", SAME),
    ("%group tutorial-{0..3}\n%px y = [i**10 for i in x]", SAME),
    ("y = group.gather('y')", SAME),
    ("print(y)", PRINTED),
    ("import numpy\n_ = group.execute('import numpy')", SAME),
    (
        "def findall(pat, x):\n    import re\n    return re.findall(pat, x)",
        SAME,
    ),
    ("def wait(t):\n    import time\n    time.sleep(t)\n    return t", SAME),
    ("pass", SAME),
    ("group.execute('1/0')", ERROR),
    (
        "try:\n    group.execute('1/0')\nexcept rpyc_kernel.GroupFailed as e:\n    raise e.errors['tutorial-0']",
        ERROR,
    ),
    ("group.execute('1/0')", ERROR),
    ("pass", SAME),  # equal errors are told once, whoever has them
    ("%px x = z", ERROR),
    ("pass", SAME),
    ("ar = group.submit('1/0')", SAME),
    ("ar.result()", ERROR),
    ("ar = group.apply_async(lambda: 1/0)", SAME),
    ("ok = ar.wait(); ar.errors", "errors by their kernels' names, and not in the list"),
]
"""Our line for each of theirs, in order, and how what both show is compared; else why it differs."""


def _fetch(folder: Path) -> str:
    """The page of the release that is installed here, from its source."""
    wanted = f"ipyparallel=={version('ipyparallel')}"
    command = ["-m", "pip", "--quiet", "download", "--no-deps", "--no-binary", "ipyparallel", "--dest", str(folder)]
    subprocess.run([sys.executable, *command, wanted], check=True, capture_output=True)
    with tarfile.open(next(folder.glob("ipyparallel-*.tar.gz"))) as archive:
        page = archive.extractfile(f"ipyparallel-{version('ipyparallel')}/{PAGE}")
        assert page is not None
        return page.read().decode()


def _read_lines(page: str) -> Iterator[str]:
    """What the page has typed, without what only a terminal does."""
    for block in re.findall(r"```ipython\n(.*?)```", page, re.DOTALL):
        typed: list[str] = []
        for line in block.splitlines():
            if begun := re.match(r"In \[\d+\]: ?(.*)", line):
                typed.append(begun[1])
            elif typed and (going_on := re.match(r" *\.\.\.\.: ?(.*)", line)):
                typed[-1] += f"\n{going_on[1]}"
        yield from (
            re.sub(r"^print (\w+)$", r"print(\1)", each) for each in typed if not re.search("<tab>|%debug", each)
        )


def _run_both(folder: Path, theirs: list[str], ours: list[str]) -> list[list[dict[str, Any]]]:
    """What came of each line, side by side in time, too."""
    running = []
    for side, lines in (("theirs", theirs), ("ours", ours)):
        (folder / f"{side}.json").write_text(json.dumps(lines))
        command = [sys.executable, str(Path(__file__).parent / "run_lines.py")]
        environment = {**os.environ, "IPYTHONDIR": str(folder / side), "PYTHONPATH": str(ROOT)}
        paths = [str(folder / f"{side}.json"), str(folder / f"{side}.out.json")]
        running.append(subprocess.Popen([*command, *paths], env=environment, stdout=subprocess.DEVNULL))
    try:
        for process in running:
            assert process.wait(400) == 0
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [json.loads((folder / f"{side}.out.json").read_text()) for side in ("theirs", "ours")]


def _value(shown: str) -> Any:
    with suppress(ValueError, SyntaxError):
        return ast.literal_eval(shown)
    return [[*eval(each)] for each in re.findall(r"range\([\d, ]+\)", shown)] if "range(" in shown else shown


def _is_alike(how: str, theirs: dict[str, Any], ours: dict[str, Any]) -> bool:
    if how == ERROR:
        # How many engines an interrupt has found at work is a matter of time, also with theirs.
        return bool(ours["error"]) and theirs["error"].split()[-1] == ours["error"].split()[-1]
    if theirs["error"] or ours["error"]:
        return False
    their, our = _value(theirs["shown"]), _value(ours["shown"])
    if how == NEAR:
        return [round(each) for each in their] == [round(each) for each in our]
    if how == NUMBERS:
        return len({*their}) == len({*our}) == len(our) and all(isinstance(each, int) for each in our)
    return bool(ours["printed"] == theirs["printed"]) if how == PRINTED else bool(their == our)


@pytest.mark.timeout(900)
def test_each_line_of_the_tutorial_shows_the_same_on_a_group_but_for_what_is_listed(
    tmp_path: Path, folders: Folders
) -> None:
    lines = [*_read_lines(_fetch(tmp_path))]
    told = _run_both(
        tmp_path,
        [*THEIR_BEGINNING, *lines, *THEIR_END],
        [*OUR_BEGINNING, *(line for line, _ in PORT), *OUR_END],
    )
    theirs, ours = (side[2:-1] for side in told)
    print(f"ipyparallel {version('ipyparallel')}, {PAGE}: {len(lines)} lines")
    unlike = []
    for line, left, (port, how), right in itertools.zip_longest(lines, theirs, PORT, ours, fillvalue=("", "")):
        is_alike = _is_alike(how, left, right)
        for mark, typed, came in ((" " if is_alike else "*", line, left), (" ", port, right)):
            print(f"{mark} {typed!r:70} -> {came['error'] or came['shown'][:60]}")
        if is_alike != (how in ALIKE):
            unlike.append((line, left, port, how, right))
    assert unlike == []
