"""Kernelspecs by command: what is removed is what was installed, and what nobody can join is said to be so."""

import json
from pathlib import Path

import pytest

from rpyc_kernel.cli.program import run
from rpyc_kernel.faces.jupyter import kernelspec
from tests.support.folders import Folders


@pytest.fixture
def place(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which Jupyter finds what a user, an environment and a machine have."""
    for folder in ("user", "env", "machine"):
        (tmp_path / folder).mkdir()
    in_environment = str(tmp_path / "env" / "share" / "jupyter")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    monkeypatch.setenv("JUPYTER_PATH", in_environment)  # looked at first, as in an environment that is active
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setattr(kernelspec, "SYSTEM_JUPYTER_PATH", [str(tmp_path / "machine")])
    monkeypatch.setattr("jupyter_client.kernelspec.SYSTEM_JUPYTER_PATH", [str(tmp_path / "machine")])
    return tmp_path


def call(*arguments: str) -> int:
    return run(["rpyc-kernel", "jupyter", *arguments])


def specs(place: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(place)) for path in place.rglob("kernel.json"))


USERS = "user/kernels/rpyc_kernel"
ENVIRONMENTS = "env/share/jupyter/kernels/rpyc_kernel"
MACHINES = "machine/kernels/rpyc_kernel"


def where(place: Path, words: list[str]) -> list[str]:
    return [str(place / word) if word == "env" else word for word in words]


@pytest.mark.parametrize(
    ("words", "path"),
    [([], USERS), (["--prefix", "env"], ENVIRONMENTS), (["--system"], MACHINES)],
    ids=["user", "environment", "machine"],
)
def test_what_is_removed_is_what_the_same_words_install(
    words: list[str], path: str, place: Path, capsys: pytest.CaptureFixture[str]
):
    for others in ([], ["--prefix", "env"], ["--system"]):
        assert call("install", *where(place, others)) == 0
    assert specs(place) == [ENVIRONMENTS, MACHINES, USERS]
    capsys.readouterr()
    assert call("uninstall", *where(place, words)) == 0
    assert specs(place) == sorted({ENVIRONMENTS, MACHINES, USERS} - {path})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"removed {place / path}"
    assert said[1].startswith("Jupyter still finds one of this name: ")
    assert str(place / path) not in said[1]


def test_nothing_is_removed_from_elsewhere_but_named(place: Path, capsys: pytest.CaptureFixture[str]):
    call("install", "--prefix", str(place / "env"))
    capsys.readouterr()
    assert call("uninstall") == 2
    assert specs(place) == [ENVIRONMENTS]
    assert capsys.readouterr().err == (
        f"rpyc-kernel: there is no kernelspec 'rpyc_kernel' in {place / 'user/kernels'}, "
        f"but one in {place / 'env/share/jupyter/kernels'}: --prefix {place / 'env'} removes it\n"
    )


def test_what_is_for_all_users_is_removed_by_saying_so(place: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("JUPYTER_PATH", str(place / "machine"))
    call("install", "--system")
    capsys.readouterr()
    assert call("uninstall") == 2
    assert capsys.readouterr().err.endswith(f"but one in {place / 'machine/kernels'}: --system removes it\n")


@pytest.mark.parametrize(
    "targets",
    [("demo", "Demo"), ("a.b", "A.b"), ("/x/ü.json", "/x/é.json"), ("tcp://127.0.0.1:1", "tcp://127.0.0.1-1")],
)
def test_each_kernel_has_a_spec_of_its_own(place: Path, targets: tuple[str, str]):
    for target in targets:
        call("install", "--attach", target)
    contents = [json.loads(path.read_text())["argv"][-1] for path in place.rglob("kernel.json")]
    assert sorted(contents) == sorted(targets)
    assert call("uninstall", "--attach", targets[0]) == 0
    assert len(specs(place)) == 1


def test_a_spec_that_is_nowhere_cannot_be_removed(place: Path, capsys: pytest.CaptureFixture[str]):
    assert call("uninstall", "--attach", "demo") == 2
    assert capsys.readouterr().err == (
        f"rpyc-kernel: there is no kernelspec 'rpyc_kernel-demo' in {place / 'user/kernels'}; "
        "'rpyc-kernel jupyter list' shows those there are\n"
    )


def test_a_spec_that_is_linked_leaves_what_it_leads_to(place: Path):
    kept = place / "kept"
    kept.mkdir()
    (kept / "kernel.json").write_text("{}")
    (place / "user" / "kernels").mkdir()
    (place / USERS).symlink_to(kept)
    assert call("uninstall") == 0
    assert not (place / USERS).is_symlink()
    assert (kept / "kernel.json").exists()


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_an_environment_and_all_users_cannot_be_meant_at_once(
    command: str, place: Path, capsys: pytest.CaptureFixture[str]
):
    assert call(command, "--system", "--prefix", str(place / "env")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert specs(place) == []


def test_a_spec_whose_kernel_does_not_run_says_so(place: Path, capsys: pytest.CaptureFixture[str]):
    assert call("install", "--attach", "nosuch") == 0
    out, err = capsys.readouterr()
    assert out == f"installed {place / USERS}-nosuch\n"
    assert err == (
        "rpyc-kernel: no notebook can join by it so far: kernel 'nosuch' is not running; "
        "start it with 'rpyc-kernel start nosuch'\n"
    )


def test_a_spec_whose_kernel_cannot_be_called_so_is_refused(place: Path, capsys: pytest.CaptureFixture[str]):
    assert call("install", "--attach", "no such") == 2
    assert "'no such' cannot name a kernel" in capsys.readouterr().err
    assert specs(place) == []


@pytest.mark.parametrize(
    ("target", "variable"),
    [
        ("rpyc+tls://127.0.0.1:1/demo", "RPYC_KERNEL_INVITATION"),
        ("tcp://127.0.0.1:1", "RPYC_KERNEL_KEY"),
        ("nosuch", ""),
    ],
)
def test_the_secret_that_a_spec_leaves_out_is_asked_for(
    target: str, variable: str, place: Path, capsys: pytest.CaptureFixture[str]
):
    assert call("install", "--attach", target) == 0
    said = capsys.readouterr().out.splitlines()[1:]
    advice = f"no secret is in it: start Jupyter with {variable} in its environment, or no notebook can join"
    assert said == ([advice] if variable else [])
