"""The cache of bundles: what is taken in is there as a whole or not at all, and is removed when nobody uses it."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from rpyc_kernel.client.bundle import program
from rpyc_kernel.system import bundle_cache, bundle_start
from tests.support.interpreters import need_python

LONG_AGO = time.time() - 365 * 24 * 3600


def pack(marker: str = "") -> tuple[bytes, str]:
    """The archive of a bundle whose program tells how it was called."""
    contents = {
        "__main__.py": f"import sys\nprint('{marker}', *sys.argv[1:], sys.stdin.read())",
        "package/data": "12345",
    }
    contents[bundle_cache.MANIFEST] = json.dumps({name: len(content) for name, content in contents.items()})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Path(bundle_cache.cache_folder())


def bundles(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != "lock")


def run_program(*arguments: str, data: bytes = b"", python: str = sys.executable) -> tuple[int, list[dict], str]:
    """Its exit status, its answers, and what else it wrote."""
    told = subprocess.run([python, "-c", program(), *arguments], input=data, capture_output=True, check=False)
    assert told.stderr == b""
    lines = told.stdout.decode().splitlines()
    marked = [line for line in lines if line.startswith(bundle_cache.MARK)]
    answers = [json.loads(line.removeprefix(bundle_cache.MARK)) for line in marked]
    return told.returncode, answers, "\n".join(line for line in lines if line not in marked)


def test_what_is_taken_in_is_found(cache: Path) -> None:
    data, digest = pack()
    assert bundle_cache.find(digest) is None
    folder = bundle_cache.take(data, digest)
    assert folder == bundle_cache.find(digest) == bundle_cache.take(data, digest) == str(cache / digest)
    assert (cache / digest / "package/data").read_text() == "12345"
    assert bundles(cache) == [digest]


def test_a_relative_cache_folder_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bundle_cache.cache_folder() == str(tmp_path / ".cache/rpyc_kernel/bundles")


def test_a_damaged_archive_is_refused(cache: Path) -> None:
    data, digest = pack()
    with pytest.raises(OSError, match="arrived damaged"):
        bundle_cache.take(data[:-1], digest)
    assert not cache.exists()


def test_a_bundle_that_has_lost_a_file_is_taken_in_anew(cache: Path) -> None:
    data, digest = pack()
    bundle_cache.take(data, digest)
    (cache / digest / "package/data").write_text("")
    assert bundle_cache.find(digest) is None
    bundle_cache.take(data, digest)
    assert bundle_cache.find(digest) is not None
    assert bundles(cache) == [digest]


def test_nothing_is_left_of_what_cannot_be_stored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    data, digest = pack()
    monkeypatch.setattr(zipfile.ZipFile, "extractall", fill_disk)
    with pytest.raises(OSError, match="No space left") as caught:
        bundle_cache.take(data, digest)
    assert "make room" in bundle_cache.explain(caught.value)
    assert bundles(cache) == []


def test_a_folder_that_others_can_write_to_is_no_cache(cache: Path) -> None:
    data, digest = pack()
    bundle_cache.take(data, digest)
    cache.chmod(0o777)
    for use in (lambda: bundle_cache.find(digest), lambda: bundle_cache.take(data, digest)):
        with pytest.raises(OSError, match="others can write"):
            use()


def test_what_is_old_and_unused_goes_when_another_bundle_comes(cache: Path) -> None:
    """And what one that was killed had begun."""
    old, held, young = (bundle_cache.take(*pack(name)) for name in ("old", "held", "young"))
    for folder in (old, held):
        os.utime(f"{folder}/__main__.py", (LONG_AGO, LONG_AGO))
    (cache / "new-begun").mkdir()
    for name, at in (("old.zip", LONG_AGO), ("young.zip", time.time())):
        bundle_cache.put_file(str(cache / name), b"data")
        os.utime(cache / name, (at, at))
    with subprocess.Popen([sys.executable, "-c", HOLD, held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.read(1) == b"h"
        new = bundle_cache.take(*pack("new"))
        assert bundles(cache) == sorted([*(os.path.basename(folder) for folder in (held, young, new)), "young.zip"])
        holder.stdin.close()
    newest = bundle_cache.take(*pack("newest"))
    assert bundles(cache) == sorted([*(os.path.basename(folder) for folder in (young, new, newest)), "young.zip"])


HOLD = """
import sys
from rpyc_kernel.system import bundle_start
bundle_start.hold(sys.argv[1])
sys.stdout.write("h")
sys.stdout.flush()
sys.stdout.close()
sys.stdin.read()
"""


def test_what_was_asked_for_stays(cache: Path) -> None:
    data, digest = pack()
    folder = bundle_cache.take(data, digest)
    os.utime(f"{folder}/__main__.py", (LONG_AGO, LONG_AGO))
    bundle_cache.find(digest)
    bundle_cache.take(*pack("other"))
    assert bundle_cache.find(digest) == folder


def test_a_process_that_is_in_no_bundle_says_so() -> None:
    assert bundle_start.of_this_process() == ""


# The program that is sent


def test_the_program_asks_for_a_bundle_once_and_runs_it(cache: Path) -> None:
    data, digest = pack("ran")
    first = run_program(digest, str(len(data)), "one", "two words", data=data + b"input")
    again = run_program(digest, str(len(data)), "one", data=b"input")
    assert [(status, [answer["status"] for answer in answers], rest) for status, answers, rest in (first, again)] == [
        (0, ["wanted", "here"], "ran one two words input"),
        (0, ["here"], "ran one input"),
    ]
    known = {"python": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable}
    assert again[1] == [{**known, "status": "here", "path": str(cache / digest)}]


def test_a_connection_that_is_cut_leaves_nothing(cache: Path) -> None:
    data, digest = pack()
    status, answers, _ = run_program(digest, str(len(data)), data=data[:50])
    assert (status, answers[-1]["error"]) == (
        1,
        f"the connection was cut after 50 of {len(data)} bytes of the bundle; try again",
    )
    assert not cache.exists()


def test_a_home_that_cannot_be_written_to_is_told(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "rpyc_kernel").write_text("a file where the folder should be: no home is read-only for root")
    data, digest = pack()
    status, answers, _ = run_program(digest, str(len(data)), data=data)
    assert status == 1
    assert f"the bundle cannot be stored in {cache}: " in answers[-1]["error"]


def test_two_that_bring_the_same_at_once_have_one(cache: Path) -> None:
    data, digest = pack()
    command = [sys.executable, "-c", program(), digest, str(len(data))]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in running:  # all have asked before one is given
        assert b'"wanted"' in process.stdout.readline()
    for process in running:
        process.stdin.write(data)
        process.stdin.flush()
    assert all(b'"here"' in process.communicate()[0] for process in running)
    assert bundles(cache) == [digest]


@pytest.mark.parametrize("version", ["2", "3.6", "3.9"])
def test_a_python_that_is_too_old_says_so(cache: Path, version: str) -> None:
    python = need_python(version)
    status, answers, _ = run_program("0" * 64, "1", python=python)
    assert (status, [answer["status"] for answer in answers]) == (1, ["error"])
    assert f"{python} is Python {version}" in answers[0]["error"]
    assert answers[0]["error"].endswith("; a kernel needs 3.10 or newer")


def test_what_stands_in_a_home_is_no_module(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "signal", "tempfile"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    data, digest = pack("ran")
    assert run_program(digest, str(len(data)), "one", data=data)[::2] == (0, "ran one ")


def test_the_program_is_one_line_that_any_shell_takes() -> None:
    assert not set(program()) & set("'!\\\n")
