"""nbclient's own tests, with our kernel and with ipykernel under the name python3: what passes there passes here."""

import json
import os
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel.faces.jupyter.kernelspec import make_spec
from tests.support.folders import Folders

_NEEDED = ("testpath", "nbconvert", "flaky", "xmltodict", "pytest-asyncio", "ipywidgets")
_PEER = {
    "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "display_name": "Python 3",
    "language": "python",
}
_DIFFERENT = {
    "test_error_notebook_hook": "a cell that goes down with the kernel has an error that says why",
    "test_kernel_death_during_execution": "the same",
    "test_run_all_notebooks[Factorials.ipynb-opts3]": "what is printed comes at once, on a busy machine in more pieces",
}
"""What is meant to end otherwise than with ipykernel, or may, and why."""

_ASK = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
request = client.kernel_info()
answer = client.get_shell_msg(timeout=60)
client.stop_channels()
manager.shutdown_kernel()
print(answer["content"]["implementation"])
"""
"""Which kernel it is that the tests are run with."""


def _pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *words], check=True, capture_output=True)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """nbclient's source of the installed version, with what its tests need beside it, out of this environment."""
    wanted = f"nbclient=={version('nbclient')}"
    _pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(tmp_path), wanted)
    with tarfile.open(next(tmp_path.glob("nbclient-*.tar.gz"))) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    _pip("install", "--target", str(tmp_path / "needed"), *_NEEDED)
    return next((tmp_path / "source").iterdir())


def _run(suite: Path, folder: Path, spec: dict[str, Any], implementation: str) -> dict[str, str]:
    """How each test ended."""
    place = folder / "jupyter" / "kernels" / "python3"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    paths = [str(suite.parents[1] / "needed"), str(Path(__file__).parents[2])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        # What an environment has itself goes before all but this: the environment's own python3 would be started.
        "JUPYTER_PATH": str(folder / "jupyter"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    asked = subprocess.run([sys.executable, "-c", _ASK], env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout.split()[-1] == implementation
    result = folder / "result.xml"
    options = ["-p", "no:randomly", "-W", "default", "--timeout", "120", "-q", f"--junit-xml={result}"]
    command = [sys.executable, "-m", "pytest", *options, "tests"]
    subprocess.run(command, cwd=suite, env=environment, capture_output=True, check=False, timeout=900)
    ended = {}
    for case in ElementTree.parse(result).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        ended[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return ended


@pytest.mark.timeout(1800)
def test_what_passes_with_ipykernel_passes_with_ours(suite: Path, folders: Folders, tmp_path: Path) -> None:
    ours = _run(suite, tmp_path / "ours", make_spec(), "rpyc_kernel")
    peer = _run(suite, tmp_path / "peer", _PEER, "ipython")
    differences = {name: (ours.get(name), ended) for name, ended in peer.items() if ours.get(name) != ended}
    passed = [sum(ended == "passed" for ended in side.values()) for side in (ours, peer)]
    print(f"nbclient {version('nbclient')}: passed {passed[0]} with ours, {passed[1]} with ipykernel; {differences}")
    assert passed[1] > 0
    worse = {name.rpartition("::")[2] for name, (_, with_peer) in differences.items() if with_peer == "passed"}
    assert worse <= {*_DIFFERENT}
