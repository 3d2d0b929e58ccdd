"""RPyC's own tests with RPyC as the server, in the tests' process and in another, and with a kernel, side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
SOURCE = "https://github.com/tomerfiliba-org/rpyc"
MODULES = (
    "affinity",
    "async",
    "attributes",
    "classic",
    "get_id_pack",
    "ipv6",
    "magic",
    "netref_hierachy",
    "race",
    "refcount",
    "remoting",
    "teleportation",
    "threaded_server",
)
"""Those of its test modules whose server is RPyC's classic one. The others test services of their own, or no server."""
_OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist", "-W", "default", "--timeout=120")
_MARKS = {"": "passed", "failure": "failed", "error": "failed", "skipped": "skipped"}


_WAYS = {
    "RPyC beside": (),
    "RPyC elsewhere": ("-p", "rpyc_elsewhere", "--elsewhere=rpyc"),
    "kernel": ("-p", "rpyc_elsewhere", "--elsewhere=kernel"),
}


_DIFFERENT = {
    "test_netref_hierachy.Test_Netref_Hierarchy.test_instancecheck_across_connections",
    "test_netref_hierachy.Test_Netref_Hierarchy.test_modules",
}
"""What a kernel does otherwise on purpose; docs/stock.md says why."""


def main() -> int:
    """Run them in each way; the status is 1 where a kernel fails at what RPyC in another process does, by accident."""
    with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as scratch:
        folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else _fetch(Path(scratch) / "rpyc")
        results = {way: _run(folder, Path(scratch) / "report.xml", *options) for way, options in _WAYS.items()}
    names = sorted(set().union(*results.values()))
    width = max(map(len, names))
    print(f"{'':{width}}  {'  '.join(results)}")
    for name in names:
        marks = [f"{found.get(name, ('missing', ''))[0]:{len(way)}}" for way, found in results.items()]
        print(f"{name:{width}}  {'  '.join(marks)}")
    for way, found in results.items():
        counted = Counter(mark for mark, _ in found.values())
        print(f"{way}: {', '.join(f'{count} {mark}' for mark, count in sorted(counted.items()))}")
        for name, (mark, why) in sorted(found.items()):
            if mark == "failed":
                print(f"    {name}: {why}")
    expected = {name for name, (mark, _) in results["RPyC elsewhere"].items() if mark == "passed"}
    passed = {name for name, (mark, _) in results["kernel"].items() if mark == "passed"}
    return int(not passed or bool(expected - passed - _DIFFERENT))


def _fetch(folder: Path) -> Path:
    tag = version("rpyc")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--branch", tag, SOURCE, str(folder)], check=True)
    return folder


def _run(folder: Path, report: Path, *options: str) -> dict[str, tuple[str, str]]:
    """What came of each test, and why."""
    files = [f"tests/test_{module}.py" for module in MODULES]
    python_path = os.pathsep.join((str(HERE), str(folder)))
    subprocess.run(
        [sys.executable, "-m", "pytest", *_OPTIONS, *options, f"--rootdir={folder}", f"--junit-xml={report}", *files],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": python_path},
        stdout=sys.stderr,
    )
    results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        told = next(iter(case), None)
        kind = "" if told is None or told.tag not in _MARKS else told.tag
        why = "" if told is None else (told.get("message") or "").partition("\n")[0][:100]
        results[f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}"] = (_MARKS[kind], why)
    return results


if __name__ == "__main__":
    sys.exit(main())
