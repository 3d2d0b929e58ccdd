"""Which rank a process is: what each launcher puts into the environment."""

import pytest

from rpyc_kernel.system.ranks import find_rank


@pytest.mark.parametrize(
    "environment",
    [
        {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"},
        {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "PMIX_RANK": "3"},
        {"PMI_RANK": "3", "PMI_SIZE": "8", "PMI_FD": "9"},
        {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "16"},
    ],
)
def test_each_launchers_rank_and_size_are_known(environment):
    assert find_rank(environment) == (3, 8)
    assert find_rank({**environment, "HOME": "/", "RANK_OF_MINE": "x"}) == (3, 8)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "3"},
        {"RANK": "captain", "WORLD_SIZE": "8"},
        {"RANK": "-1", "WORLD_SIZE": "8"},
        {"RANK": "8", "WORLD_SIZE": "8"},
        {"RANK": "٣", "WORLD_SIZE": "8"},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "16"},
    ],
)
def test_a_process_that_nobody_launched_as_a_rank_is_none(environment):
    assert find_rank(environment) is None


def test_mpirun_within_a_batch_job_counts_before_the_job():
    job = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2", "PMI_RANK": "5", "PMI_SIZE": "8"}
    assert find_rank(job) == (5, 8)
    assert find_rank({**job, "RANK": "no", "WORLD_SIZE": "8"}) == (5, 8)
