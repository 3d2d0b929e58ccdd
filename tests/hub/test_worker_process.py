"""A worker that cannot be started leaves nothing open."""

import os

import pytest

from rpyc_kernel.hub.worker_process import WorkerProcess
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import processes
from rpyc_kernel.system.runtime_folder import RuntimeFolder


def fail(*_, **__):
    raise OSError("too many open files")


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("count", range(4))
def test_of_a_worker_for_which_there_are_too_few_pipes_none_stays_open(folders, monkeypatch, count):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    made, make = [], os.pipe

    def make_some():
        if len(made) == 2 * count:
            fail()
        made.extend(make())
        return made[-2], made[-1]

    with monkeypatch.context() as context:
        context.setattr(os, "pipe", make_some)
        context.setattr(processes, "spawn_module", fail)
        with pytest.raises(OSError, match="too many open files"):
            WorkerProcess(folder, HubSettings(), WorkerSettings(), given := os.open(os.devnull, os.O_RDONLY))
    assert len(made) == 2 * count
    assert not [descriptor for descriptor in (*made, given) if is_open(descriptor)]
