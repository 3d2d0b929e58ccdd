"""All that a value shows of itself, as JSON text: for debuggers, which get no more than text out of this process."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.system.originals import json
from rpyc_kernel.worker.bundles import clean_bundle, make_bundle
from rpyc_kernel.worker.engine import find_shell


def describe(value: Any) -> str:
    """The MIME bundle of a value and its metadata."""
    shell = find_shell()
    return json.dumps(make_bundle(value) if shell is None else clean_bundle(*shell.display_formatter.format(value)))
