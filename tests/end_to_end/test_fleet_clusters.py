"""Fleets on clusters of other makes: hosts by SSH, and what batch systems are handed."""

from __future__ import annotations

import importlib
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import SSHCluster

import rpyc_kernel
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S
from tests.support.sshd import Hosts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("folders")

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}


def test_kernels_are_placed_on_hosts_that_dask_reaches_by_ssh(ssh_hosts: Hosts, tmp_path: Path) -> None:
    key = str(ssh_hosts.config.parent / "key")
    for host in (ssh_hosts.alpha, ssh_hosts.beta):
        for program in ("env", "uname"):  # which Dask calls, and everybody has
            host.add_program(program, f'#!/bin/sh\nexec {shutil.which(program)} "$@"\n')
    hosts = (ssh_hosts.alpha, ssh_hosts.alpha, ssh_hosts.beta)
    ways = [{"port": host.port, "known_hosts": None, "client_keys": [key]} for host in hosts]
    with (
        dask.config.set({"temporary-directory": str(tmp_path)}),
        SSHCluster(
            ["127.0.0.1"] * 3,
            connect_options=ways,
            worker_options={**HERE, "nthreads": 1},
            scheduler_options={**HERE, "port": 0},
            remote_python=sys.executable,
        ) as cluster,
        rpyc_kernel.fleet(cluster, 2, engine="plain", timeout=PATIENCE_S, call_timeout=PATIENCE_S) as fleet,
    ):
        homes = fleet.eval("__import__('os').environ['HOME']")
        assert {*homes} == {str(ssh_hosts.alpha.home), str(ssh_hosts.beta.home)}
        assert rpyc_kernel.kernels() == []  # here
        statuses = [kernel.status() for kernel in fleet]
        fleet["base"] = 100
        with fleet.dask() as client:
            assert client.gather(client.map(lambda x: base + x, range(3))) == [100, 101, 102]  # type: ignore[name-defined]  # noqa: F821
    for status in statuses:
        for pid in (status["hub_pid"], status["worker_pid"]):
            wait_until(lambda pid=pid: not processes.is_alive(pid), PATIENCE_S, "its end")  # type: ignore[misc]


_WORKER = (
    "/opt/env/bin/python -m distributed.cli.dask_worker tcp://SCHEDULER --name dummy-name --nthreads 1 "
    "--memory-limit 14.90GiB --nanny --death-timeout 60 --resources GPU=1"
)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (
            "SLURMCluster",
            {"job_extra_directives": ["--gres=gpu:1"]},
            [
                "#SBATCH -J dask-worker",
                "#SBATCH -n 1",
                "#SBATCH --cpus-per-task=1",
                "#SBATCH --mem=15G",
                "#SBATCH -t 08:00:00",
                "#SBATCH --gres=gpu:1",
            ],
        ),
        (
            "PBSCluster",
            {"resource_spec": "select=1:ncpus=1:ngpus=1:mem=16GB"},
            ["#PBS -N dask-worker", "#PBS -l select=1:ncpus=1:ngpus=1:mem=16GB", "#PBS -l walltime=08:00:00"],
        ),
    ],
    ids=["SLURM", "PBS"],
)
def test_the_job_of_a_batch_system_is_a_dask_worker_that_a_kernel_finds_its_place_on(
    kind: str, options: dict[str, Any], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(signal, "signal", lambda *_: None)  # to import it has Ctrl-C end the program
        make_cluster = getattr(importlib.import_module("dask_jobqueue"), kind)
    common = {"cores": 1, "processes": 1, "memory": "16GB", "walltime": "08:00:00", "python": "/opt/env/bin/python"}
    resources = {"worker_extra_args": ["--resources", "GPU=1"]}
    with make_cluster(**common, **resources, **options, scheduler_options={**HERE, "port": 0}) as cluster:
        script = cluster.job_script().replace(cluster.scheduler_address, "tcp://SCHEDULER")
        assert [line for line in script.splitlines() if line] == ["#!/usr/bin/env bash", *expected, _WORKER]
        told: list[str] = []
        with rpyc_kernel.fleet(
            cluster, 1, resources={"GPU": 1}, timeout=0, on_move=lambda move: told.append(str(move))
        ) as fleet:
            assert fleet.explain() == "fleet-0 waits for a place: Dask has no workers"
