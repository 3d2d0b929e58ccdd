"""Large programs on our kernel, which `scripts/clients` runs: they take long to install and to start."""

import os

from tests.end_to_end.notebooks import open_notebook, provisioner  # noqa: F401 - fixtures

collect_ignore = ["ipyparallel_on_groups"]  # found under the name of ipyparallel by those tests that put it there
collect_ignore_glob = [] if os.environ.get("RPYC_KERNEL_CLIENTS") else ["test_*.py"]
