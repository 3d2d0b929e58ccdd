"""All that a value shows of itself, as JSON text: for debuggers, which get no more than text out of this process."""

from __future__ import annotations

import sys
from typing import Any

from rpyc_kernel.system.originals import json
from rpyc_kernel.worker.engines.bundles import clean_bundle, make_bundle


def describe(value: Any) -> str:
    """The MIME bundle of a value and its metadata."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return json.dumps(make_bundle(value) if shell is None else clean_bundle(*shell.display_formatter.format(value)))
