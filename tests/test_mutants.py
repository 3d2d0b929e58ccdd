"""The mutants fit the code: each breaks what is there, and the tests that must notice exist."""

import ast
import functools
from pathlib import Path

import pytest

from tests.mutants import Mutant, load_mutants

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = load_mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}:{mutant.promise}")
def test_a_mutant_breaks_one_place_of_code_that_still_compiles(mutant: Mutant) -> None:
    source = (ROOT / "rpyc_kernel" / mutant.file).read_text("utf-8")
    assert source.count(mutant.before) == 1
    broken = source.replace(mutant.before, mutant.after)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}:{mutant.promise}")
def test_the_tests_that_must_notice_a_mutant_exist(mutant: Mutant) -> None:
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0].rpartition("::")[2] in _functions_in(ROOT / "tests" / file)


def test_no_mutant_stands_twice() -> None:
    assert len({(mutant.file, mutant.before, mutant.after) for mutant in MUTANTS}) == len(MUTANTS)


@functools.cache
def _functions_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
