"""How Jupyter finds kernels: kernelspecs by command, running kernels by themselves, a provisioner that joins them."""

import asyncio
import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.provisioning.factory import KernelProvisionerFactory

import rpyc_kernel
from rpyc_kernel.faces.jupyter.kernelspec import make_spec
from rpyc_kernel.faces.jupyter.live_kernels import LiveKernelSpecManager
from tests.end_to_end.commands import RunHere
from tests.end_to_end.notebooks import PATIENCE_S, Open, prepare, take_output, text_of
from tests.support.folders import Folders

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's data folder of the test's own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return tmp_path


def test_specs_are_installed_listed_and_removed(data: Path, run_here: RunHere) -> None:
    command = [sys.executable, "-m", "rpyc_kernel", "jupyter", "install"]
    assert subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0
    assert run_here("jupyter", "install", "--attach", "Demo").returncode == 0
    listed = json.loads(run_here("jupyter", "list", "--json").stdout)
    assert ("rpyc_kernel", None) in {(spec["name"], spec["attach"]) for spec in listed}
    (name,) = (spec["name"] for spec in listed if spec["attach"] == "Demo")
    assert re.fullmatch("rpyc_kernel-demo-[0-9a-f]{6}", name)
    content = json.loads((data / "kernels" / name / "kernel.json").read_text())
    assert content["argv"][-2:] == ["--attach", "Demo"]
    icons = sorted(path.name for path in (data / "kernels" / name).glob("logo-*"))
    assert icons == ["logo-32x32.png", "logo-64x64.png", "logo-svg.svg"]
    assert run_here("jupyter", "uninstall", "--attach", "Demo").returncode == 0
    assert not (data / "kernels" / name).exists()
    assert run_here("jupyter", "uninstall", "--attach", "Demo").returncode == 2


def test_a_folder_that_cannot_be_written_is_one_line(data: Path, run_here: RunHere) -> None:
    (data / "file").write_text("")
    failed = run_here("jupyter", "install", "--prefix", str(data / "file"))
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["rpyc_kernel.faces.jupyter", "-f", "connection.json"], "zmq"),
        (["rpyc_kernel", "jupyter", "install"], "jupyter_client"),
        (["rpyc_kernel", "jupyter", "uninstall"], "jupyter_client"),
        (["rpyc_kernel", "jupyter", "list"], "zmq"),
    ],
)
def test_what_the_extra_would_bring_is_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], absent: str
) -> None:
    (data / "sitecustomize.py").write_text(f"import sys; sys.modules[{absent!r}] = None")
    monkeypatch.setenv("PYTHONPATH", str(data))
    command = [sys.executable, "-m", *words]
    failed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert failed.returncode in (1, 2)
    assert failed.stderr.count("\n") == 1
    assert f"has no {absent}" in failed.stderr
    assert f"{sys.executable} -m pip install 'rpyc-kernel[jupyter]'" in failed.stderr


def test_the_spec_that_comes_with_the_package_is_the_one_that_is_made() -> None:
    shipped = ROOT / "share" / "jupyter" / "kernels" / "rpyc_kernel" / "kernel.json"
    assert json.loads(shipped.read_text()) == make_spec(python="python")


def test_the_environment_that_the_scripts_prepare_has_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        monkeypatch.delenv(variable, raising=False)
    found = Path(sys.prefix, "share", "jupyter", "kernels", "rpyc_kernel")
    assert Path(KernelSpecManager().get_kernel_spec("rpyc_kernel").resource_dir) == found
    assert json.loads((found / "kernel.json").read_text())["argv"][1:] == make_spec()["argv"][1:]


_INTERPRETER = """\
#!/bin/sh
echo "$*" >>"$(dirname "$0")/asked"
case "$*" in *"import jupyter_client"*) exit {status} ;; esac
"""
"""Something that is asked like an interpreter, and notes for what."""


@pytest.mark.parametrize("has_jupyter", [True, False])
def test_the_scripts_add_the_spec_which_an_editable_install_leaves_out(tmp_path: Path, has_jupyter: bool) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_INTERPRETER.format(status=0 if has_jupyter else 1))
    python.chmod(0o755)
    script = f"source {ROOT}/scripts/_environment.sh && venv={tmp_path}/venv && build_environment jupyter"
    subprocess.run(["bash", "-euc", script], check=True, capture_output=True, timeout=PATIENCE_S)
    asked = (python.parent / "asked").read_text().splitlines()
    installing = next(index for index, words in enumerate(asked) if "--editable" in words)
    assert asked[installing].endswith(f"--editable {ROOT}[jupyter]")
    added = f"-m rpyc_kernel jupyter install --prefix {tmp_path}/venv"
    assert (added in asked[installing + 1 :]) is has_jupyter


def test_running_kernels_are_offered_and_those_that_have_ended_are_not(data: Path) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        manager = LiveKernelSpecManager()
        assert manager.get_kernel_spec("rpyc_kernel-demo-live").display_name == "Join demo"
        assert "rpyc_kernel-demo-live" in manager.get_all_specs()
        kernel.shutdown(timeout=PATIENCE_S)
    with pytest.raises(NoSuchKernel):
        LiveKernelSpecManager().get_kernel_spec("rpyc_kernel-demo-live")


def test_a_server_joins_a_running_kernel_and_leaves_it(provisioner: None, open_notebook: Open) -> None:
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("x = 'from before'")
        notebook = open_notebook(spec="rpyc_kernel-demo-live", kernel_spec_manager=LiveKernelSpecManager())
        assert text_of(take_output(notebook.client, notebook.client.execute("print(x)"))) == "from before\n"
        notebook.manager.shutdown_kernel(now=True)
        assert kernel.execute("x").value == "from before"
        kernel.shutdown(timeout=PATIENCE_S)


def test_the_provisioner_says_at_once_that_its_kernel_is_not_there(
    provisioner: None, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, monkeypatch.setenv)
    spec = KernelSpecManager().get_kernel_spec("rpyc_kernel")
    spec.metadata["kernel_provisioner"] = {"provisioner_name": "rpyc-kernel", "config": {"attach": "nowhere"}}
    factory = KernelProvisionerFactory.instance()
    provisioner = factory.create_provisioner_instance("an-id", spec, parent=None)
    with closing(asyncio.new_event_loop()) as loop, pytest.raises(rpyc_kernel.NoSuchKernel):
        loop.run_until_complete(provisioner.pre_launch(env=dict(os.environ)))
