"""A kernel for each rank of a parallel job: the programs of the page on ranks, run by MPI."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import Group, GroupFailed, RequestError, WorkerBusy
from tests.end_to_end.clients import PATIENCE_S, ROOT
from tests.support.processes import suspend
from tests.support.waiting import wait_until

_PAGE = (ROOT / "docs" / "ranks.md").read_text()
_PROGRAMS = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE))
_MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
needs_mpi = pytest.mark.skipif(
    _MPIEXEC is None or find_spec("mpi4py") is None, reason="mpi4py, or the MPICH of PyPI, is not installed here"
)


def join(names: str) -> Group | None:
    """The group of all four, when all can be reached."""
    try:
        return rpyc_kernel.group(names, timeout=PATIENCE_S) if len(rpyc_kernel.kernels()) == 4 else None
    except GroupFailed:  # one is listed, and does not listen yet
        return None


@contextmanager
def ranks_of(program: str, names: str, folder: Path) -> Iterator[Group]:
    """Four ranks run a program of the page; what they are is there when all have their kernels."""
    path = folder / program
    path.write_text(f"# {program}\n{_PROGRAMS[program]}")
    command = [str(_MPIEXEC), "-n", "4", sys.executable, str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
        pids: list[int] = []
        try:
            group = wait_until(lambda: job.poll() is not None or join(names), PATIENCE_S, "four kernels")
            assert isinstance(group, Group), job.communicate()[0].decode()
            with group:
                pids += group.eval("__import__('os').getpid()", timeout=PATIENCE_S)
                yield group
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            job.terminate()
            job.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernels")


@needs_mpi
def test_the_rank_that_holds_the_others_up_stands_apart_in_their_stacks(folders: object, tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```text\n(4: .*?)\n```", _PAGE, re.DOTALL | re.MULTILINE)
    with ranks_of("train.py", "train-*", tmp_path) as group:
        assert group.names == ("train-0", "train-1", "train-2", "train-3")
        assert [kernel.rank for kernel in group] == [0, 1, 2, 3]
        assert {status["world_size"] for status in group.status().values()} == {4}
        wait_until(lambda: str(group.stack(timeout=PATIENCE_S)) == shown, PATIENCE_S, shown)
        stacks = group.stack(timeout=PATIENCE_S)
        assert [stack.names for stack in stacks.main] == [("train-0", "train-1", "train-3"), ("train-2",)]
        assert stacks.main[1].frames[-1].function == "load_batch"
        assert group.eval("number") == [2, 2, 2, 2]

        suspend(group.status()["train-3"]["worker_pid"])
        stacks = group.stack(timeout=4)
        assert [stack.names for stack in stacks.main] == [("train-0", "train-1"), ("train-2",)]
        assert isinstance(stacks.errors["train-3"], WorkerBusy)
        assert str(stacks).splitlines()[-1].startswith("no stack of train-3: no stack came within 4 s")


@needs_mpi
def test_code_runs_in_all_ranks_together(folders: object, tmp_path: Path) -> None:
    with ranks_of("rank.py", "rank-{3..0}", tmp_path) as group:
        assert group.execute("world.allreduce(world.rank)", timeout=PATIENCE_S).result() == [6, 6, 6, 6]
        assert group.names[0] == "rank-3"
        assert group.by_rank().names == ("rank-0", "rank-1", "rank-2", "rank-3")


def test_a_kernel_of_its_own_is_the_rank_that_its_environment_says(folders: object) -> None:
    job = {"WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "7"}
    with rpyc_kernel.start("first", engine="plain", env={**job, "RANK": "1"}) as first:
        assert first.rank == 1
        first.execute("import os; os.environ['RANK'] = '0'")
        assert first.restart(timeout=PATIENCE_S) == 2
        assert (first.rank, first.status()["world_size"]) == (1, 2)
        with rpyc_kernel.start("second", engine="plain", env={**job, "RANK": "0"}) as second:
            assert rpyc_kernel.group([first, second]).by_rank().names == ("second", "first")
            second.shutdown()
        with rpyc_kernel.group(["first", "nobody"], missing="skip", timeout=PATIENCE_S) as group:
            stacks = group.stack(timeout=PATIENCE_S)
            assert [stack.names for stack in stacks.main] == [("first",)]
            assert list(stacks.errors) == ["nobody"]
        with rpyc_kernel.start("third", engine="plain") as third:
            assert third.rank is None
            with pytest.raises(RequestError, match="one rank for each kernel; there are first: 1, third: None"):
                rpyc_kernel.group([first, third]).by_rank()
            third.shutdown()
        first.shutdown()
