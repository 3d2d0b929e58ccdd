"""Which rank of a parallel job a process is, as who launched it says in its environment."""

from __future__ import annotations

from collections.abc import Mapping

_VARIABLES = (
    ("RANK", "WORLD_SIZE"),  # torchrun, and whoever speaks to torch.distributed
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),  # Open MPI's mpirun
    ("PMI_RANK", "PMI_SIZE"),  # MPICH's, Intel's, Cray's; srun with PMI-1 or PMI-2
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; a batch script has the first alone, and is none of the ranks
)


def find_rank(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The rank and how many there are; None where the environment speaks of none.

    The first pair that makes sense counts. One variable of a pair without the other is somebody else's.

    Example:
        >>> find_rank({"PMI_RANK": "3", "PMI_SIZE": "64"}), find_rank({"RANK": "3"})
        ((3, 64), None)
    """
    for rank, size in _VARIABLES:
        found = environment.get(rank, ""), environment.get(size, "")
        if all(text.isascii() and text.isdigit() for text in found) and int(found[0]) < int(found[1]):
            return int(found[0]), int(found[1])
    return None
