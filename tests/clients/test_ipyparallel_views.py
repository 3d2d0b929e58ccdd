"""ipyparallel's own tests of its views, done by a group of kernels through a thin adapter: what differs is listed."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.folders import Folders

ADAPTER = Path(__file__).parent / "ipyparallel_on_groups"
ROOT = Path(__file__).parents[2]

DIFFERENT = {
    "test_apply_tracked": "a value is copied before the call returns: nobody has to know when a buffer may be changed",
    "test_compositeerror_render_exception": "an error names its kernel, and no number and method",
    "test_compositeerror_truncate": "results are not asked for by ids: a future is kept, or the journal read",
    "test_data_pub": "a cell's data while it runs is read from the namespace, or shown: there is no channel beside it",
    "test_data_pub_single": "the same",
    "test_get_result": "the same as of results by ids: there is no hub that keeps them for other clients",
    "test_importer": "as of sync_imports",
    "test_len": "a group has no load balancing: a fleet's is Dask's",
    "test_nested_getitem_setitem": "a group sets names; an attribute is set by code",
    "test_push_tracked": "the same as of apply",
    "test_scatter_tracked": "the same",
    "test_sync_imports": "globals() of a function that was sent has what it brought; other names are found when used",
    "test_sync_imports_quiet": "the same",
    "test_use_cloudpickle": "functions always go by cloudpickle, and names that they did not bring are the kernel's",
    "test_z_crash_mux": "a kernel whose process died stays in its group: its next generation works",
}
"""Tests that a group does not pass, and why; each has to fail."""


def _fetch(folder: Path) -> None:
    """Have the tests of the release that is installed here put into the adapter."""
    wanted = f"ipyparallel=={version('ipyparallel')}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "install",
        "--no-deps",
        "--target",
        str(folder / "fetched"),
        wanted,
    ]
    subprocess.run(command, check=True, capture_output=True)
    shutil.copytree(ADAPTER, folder / "adapter")
    tests = folder / "fetched" / "ipyparallel" / "tests"
    shutil.copy(tests / "test_view.py", folder / "adapter" / "ipyparallel" / "tests")


@pytest.mark.timeout(600)
def test_views_are_groups_but_for_the_differences_that_are_listed(tmp_path: Path, folders: Folders) -> None:
    _fetch(tmp_path)
    result = tmp_path / "result.xml"
    options = ["-p", "no:randomly", "-p", "no:cacheprovider", "-W", "default", "--timeout", "60", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junit-xml={result}", "ipyparallel/tests/test_view.py"],
        cwd=tmp_path / "adapter",
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "adapter"), str(ROOT)]),
            "IPYTHONDIR": str(tmp_path / "ipython"),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    ended = {}
    for case in ElementTree.parse(result).iter("testcase"):
        outcomes = {child.tag for child in case} & {"failure", "error", "skipped"}
        ended[str(case.get("name"))] = next(iter(outcomes), "passed")
    passed = sum(outcome == "passed" for outcome in ended.values())
    print(f"ipyparallel {version('ipyparallel')}: {passed} of {len(ended)} tests of views pass on a group")
    skipped = {name for name, outcome in ended.items() if outcome == "skipped"}
    assert skipped <= {"test_cloudpickle_require"}, "ipyparallel itself expects that one to fail"
    assert {name for name, outcome in ended.items() if outcome in ("failure", "error")} == {*DIFFERENT}, done.stdout
