"""The mutants fit the code: each breaks what is there, and the tests that must notice exist."""

import ast
import functools
from collections.abc import Callable
from pathlib import Path

from tests.mutants import Mutant, load_mutants

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = load_mutants()


def list_those(wrong: Callable[[Mutant], bool]) -> list[str]:
    return [f"{mutant.file}: {mutant.promise}" for mutant in MUTANTS if wrong(mutant)]


def test_each_mutant_breaks_one_place():
    assert list_those(lambda mutant: read(mutant).count(mutant.before) != 1) == []


def test_each_mutant_is_other_code_that_still_compiles():
    assert list_those(lambda mutant: parse(break_source(mutant)) == parse(read(mutant))) == []


def test_the_tests_that_must_notice_a_mutant_exist():
    assert list_those(lambda mutant: not mutant.tests or not all(map(exists, mutant.tests))) == []


def test_no_mutant_stands_twice():
    assert len({(mutant.file, mutant.before, mutant.after) for mutant in MUTANTS}) == len(MUTANTS)


def read(mutant: Mutant) -> str:
    return (ROOT / "rpyc_kernel" / mutant.file).read_text("utf-8")


def break_source(mutant: Mutant) -> str:
    return read(mutant).replace(mutant.before, mutant.after)


@functools.cache
def parse(source: str) -> str:
    return ast.dump(ast.parse(source))


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return name.partition("[")[0].rpartition("::")[2] in functions_in(ROOT / "tests" / file)


@functools.cache
def functions_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
