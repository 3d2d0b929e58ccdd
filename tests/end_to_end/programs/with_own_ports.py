"""with_own_ports.py PORTS MODULE ARGUMENTS...: ``python -m MODULE ARGUMENTS...``, whose kernels get these ports."""

import itertools
import json
import runpy
import sys

from jupyter_client.connect import LocalPortCache

from tests.support.ports import find_port

if __name__ == "__main__":
    numbers = itertools.cycle(json.loads(sys.argv[1]))
    LocalPortCache.find_available_port = lambda cache, ip: find_port(ip, numbers)  # type: ignore[method-assign]
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
