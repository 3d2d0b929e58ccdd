"""The commands that copy values between a kernel and files."""

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy
import pandas
import pytest

from rpyc_kernel import KernelClient
from tests.end_to_end.commands import RunHere, run_command
from tests.end_to_end.terminals import OpenTerminal

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60
PREPARE = """
import numpy, pandas
a = numpy.arange(12.0).reshape(3, 4)
table = pandas.DataFrame({'x': numpy.arange(3), 'y': ['a', 'b', 'c']})
"""


@pytest.fixture
def prepared(kernel: KernelClient) -> KernelClient:
    kernel.execute(PREPARE, timeout=DEADLINE_S)
    return kernel


@pytest.fixture
def pull(run_here: RunHere) -> Callable[..., str]:
    return lambda expression, file, *switches: succeed(run_here("pull", *switches, "demo", expression, str(file)))


@pytest.fixture
def push(run_here: RunHere) -> Callable[..., str]:
    return lambda variable, file: succeed(run_here("push", "demo", variable, str(file)))


def succeed(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("name", ["it.npy", "it.NPY"])
def test_arrays_go_to_files_and_back(prepared, tmp_path, name):
    file = str(tmp_path / name)
    pulled = succeed(run_command("pull", "demo", "a[:, 1:3]", file))
    assert pulled == f"{file}: ndarray 3 × 2 of float64\n"
    assert numpy.load(file).tolist() == [[1, 2], [5, 6], [9, 10]]
    assert succeed(run_command("push", "demo", "b", file)) == "b: memmap 3 × 2 of float64\n"
    assert prepared.pull("bool((a[:, 1:3] == b).all())") is True


def test_several_arrays_go_to_one_file_and_back(prepared, pull, push, tmp_path):
    pull("{'first': a, 'second': a[0]}", tmp_path / "it.npz")
    push("both", tmp_path / "it.npz")
    assert prepared.pull("sorted(both), float(both['second'].sum())") == (["first", "second"], 6.0)


@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow", "feather"])
def test_tables_go_to_files_and_back(prepared, pull, push, tmp_path, ending):
    file = tmp_path / f"table.{ending}"
    assert pull("table", file) == f"{file}: DataFrame 3 × 2\n"
    push("again", file)
    pandas.testing.assert_frame_equal(prepared.pull("again"), prepared.pull("table"), check_dtype=ending != "csv")


def test_an_array_goes_to_text(prepared, pull, tmp_path):
    pull("a[:2, :2].astype(int)", tmp_path / "it.csv")
    assert (tmp_path / "it.csv").read_text() == "0,1\n4,5\n"


def test_any_other_name_is_raw_bytes(prepared, pull, push, tmp_path):
    pull("b'\\x00\\xff'", tmp_path / "it.bin")
    assert (tmp_path / "it.bin").read_bytes() == b"\x00\xff"
    pull("'größe'", tmp_path / "it.txt")
    assert (tmp_path / "it.txt").read_text("utf-8") == "größe"
    pull("a", tmp_path / "it.raw")
    assert numpy.fromfile(tmp_path / "it.raw").sum() == 66
    push("raw", tmp_path / "it.bin")
    assert prepared.pull("raw") == b"\x00\xff"


def test_standard_output_and_input_are_raw_bytes(prepared):
    done = run_command("pull", "demo", "'some text\\n'", "-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "some text\n", "")
    done = run_command("push", "demo", "told", "-", input_text="from a pipe")
    assert (done.returncode, done.stdout) == (0, "told: bytes of 11\n")
    assert prepared.pull("told") == b"from a pipe"


@pytest.mark.parametrize("name", ["timeout", "progress", "values", "self"])
def test_a_variable_may_have_any_name(prepared, push, tmp_path, name):
    (tmp_path / "it").write_bytes(b"told")
    push(name, tmp_path / "it")
    assert prepared.pull(name) == b"told"


def test_an_array_in_a_file_of_several_may_have_any_name(prepared, pull, tmp_path):
    pull("{'file': a, 'allow_pickle': a}", tmp_path / "it.npz")
    with numpy.load(tmp_path / "it.npz") as arrays:
        assert sorted(arrays) == ["allow_pickle", "file"]


def test_of_a_link_the_file_it_leads_to_is_written(prepared, pull, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "it")
    pull("b'told'", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "it").read_bytes() == b"told"


def test_what_is_no_regular_file_is_written_to(prepared, pull, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit((tmp_path / "pipe").read_bytes)
        pull("b'told'", tmp_path / "pipe")
        assert reading.result(DEADLINE_S) == b"told"
    assert (tmp_path / "pipe").is_fifo()


def test_programs_get_json(prepared, pull, tmp_path):
    told = json.loads(pull("a", tmp_path / "it.npy", "--json"))
    assert told == {"file": str(tmp_path / "it.npy"), "value": "ndarray 3 × 4 of float64"}


WRONG = [
    ("1 / 0", "it.npy", 1, "ZeroDivisionError"),
    ("object()", "it.npy", 2, "--allow-pickle|allow_pickle=True"),
    ("table", "it.npy", 2, "is no array of numbers or text"),
    ("a", "it.parquet", 2, "is no table"),
    ("numpy.zeros((2, 2, 2))", "it.csv", 2, "is no table"),
    ("{1: 2}", "it.bin", 2, "has no raw bytes"),
    ("{'a': [1, 2], 'b': [1]}", "it.csv", 2, "cannot be written"),
    ("{'a': [1, 2], 'b': [1]}", "it.parquet", 2, "cannot be written"),
    ("[[1], [1, 2]]", "it.npy", 2, "cannot be written"),
    ("numpy.array(['2026'], 'M8[Y]')", "it.bin", 2, "has no raw bytes"),
    ("a", "missing/it.npy", 1, "No such file"),
]


@pytest.mark.parametrize(("expression", "name", "status", "message"), WRONG)
def test_what_cannot_be_written_leaves_the_file_as_it_was(
    prepared, run_here, tmp_path, expression, name, status, message
):
    (tmp_path / "it.npy").write_text("before")
    done = run_here("pull", "demo", expression, str(tmp_path / name))
    assert (done.returncode, done.stdout) == (status, "")
    assert any(part in done.stderr for part in message.split("|"))
    assert [path.name for path in tmp_path.iterdir()] == ["it.npy"]
    assert (tmp_path / "it.npy").read_text() == "before"


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("it.npy", b"no array", 2, "cannot be read as .npy"),
        ("it.parquet", b"no table", 2, "cannot be read as .parquet"),
        ("missing.npy", None, 2, "No such file"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_line(prepared, run_here, tmp_path, name, content, status, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run_here("push", "demo", "x", str(tmp_path / name))
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_variables_name_is_checked(prepared, run_here, tmp_path):
    (tmp_path / "it").write_bytes(b"")
    done = run_here("push", "demo", "no name", str(tmp_path / "it"))
    assert (done.returncode, done.stderr) == (2, "rpyc-kernel: 'no name' cannot be the name of a variable\n")


def test_a_long_transfer_shows_how_far_it_is(prepared, tmp_path, open_terminal: OpenTerminal):
    terminal = open_terminal("pull", "demo", "numpy.zeros(5_000_000)", str(tmp_path / "it.npy"))
    assert terminal.wait_for_end() == 0
    terminal.wait_for(r"^\[#{30}\] 40 of 40 MB$")
