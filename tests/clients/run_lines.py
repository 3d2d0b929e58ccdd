"""Runs lines in a shell of IPython, and writes what came of each: python run_lines.py LINES.json OUT.json."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell


def _name(error: BaseException) -> str:
    """What has failed, by the name of what user code raised in the engines or kernels."""
    error = getattr(error, "original_error", error)  # of one that was shown already
    remote = [each[0] for each in getattr(error, "elist", ())] or [
        getattr(each, "ename", type(each).__name__) for each in getattr(error, "errors", {}).values()
    ]
    return f"{len(remote)} {' '.join(sorted(set(remote)))}" if remote else getattr(error, "ename", type(error).__name__)


def main(lines: Path, out: Path) -> None:
    """Run them."""
    shell = InteractiveShell.instance(colors="NoColor")
    told: list[dict[str, Any]] = []
    for line in json.loads(lines.read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            ran = shell.run_cell(line)
        error = ran.error_before_exec or ran.error_in_exec
        shown = "" if error or ran.result is None else repr(ran.result)
        told.append({"shown": shown, "error": _name(error) if error else "", "printed": printed.getvalue()})
        out.write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
