"""Every Python session in the README and the guides does what it says."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.client.introspection import Introspection

_ROOT = Path(__file__).parents[2]
_PAGES = [page for page in (_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))) if ">>> " in page.read_text()]
_PATIENCE_S = 60.0
_FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


class _Checker(doctest.OutputChecker):
    """Takes neighbouring streams for one: a print is two writes, and the hub may come between them."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, re.sub(r"('stream', )+", "'stream', ", got), optionflags)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises what the pages leave at its default, and a slow machine may exceed."""
    methods = [*vars(KernelClient).values(), *vars(Introspection).values()]
    for function in map(inspect.unwrap, (rpyc_kernel.start, rpyc_kernel.connect, *methods)):
        for name in {"timeout", "wait"} & (getattr(function, "__kwdefaults__", None) or {}).keys():
            if isinstance(function.__kwdefaults__[name], float):
                monkeypatch.setitem(function.__kwdefaults__, name, _PATIENCE_S)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run_as_shown(page: Path, folders: object, patience: None) -> None:
    sessions = "".join(block for block in _FENCE.findall(page.read_text()) if ">>> " in block)
    examples = doctest.DocTestParser().get_doctest(sessions, {}, page.name, str(page), 0)
    said: list[str] = []
    runner = doctest.DocTestRunner(_Checker(), optionflags=doctest.ELLIPSIS)
    result = runner.run(examples, out=said.append)
    assert result.attempted > 5
    assert not result.failed, "".join(said)
