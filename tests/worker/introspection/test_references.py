"""Where names are used and defined: across the inputs that ran, and the user's files."""

import linecache
import os
import sys
import types
from pathlib import Path

import pytest

from rpyc_kernel.core.introspection import Definition, References
from rpyc_kernel.worker.introspection import references
from rpyc_kernel.worker.introspection.help import HelpReader
from rpyc_kernel.worker.introspection.inputs import find_assignment, join_inputs
from rpyc_kernel.worker.introspection.references import ReferenceFinder, _list_files, _walk
from tests.worker.introspection.conftest import PATIENCE_S

_INPUTS = [
    "import shop\ntotal = 0\ndef double(number):\n    return 2 * number\n",
    "total = double(3)\nfor total in range(double(1)):\n    pass\n",
    "prices = [shop.price(each) for each in 'ab']\nö = total; total = ö\n",
]


@pytest.fixture
def inputs(monkeypatch):
    """Three inputs that ran."""
    cache = {name: entry for name, entry in linecache.cache.items() if not name.startswith("<In ")}
    monkeypatch.setattr(linecache, "cache", cache)
    for number, text in enumerate(_INPUTS, 1):
        linecache.cache[f"<In {number}>"] = (len(text), None, text.splitlines(keepends=True), f"<In {number}>")


@pytest.fixture
def project(tmp_path: Path, monkeypatch):
    """A folder with a module that another one uses, and one that has the same name in a string."""
    (tmp_path / "shop.py").write_text("def price(what):\n    return 3\n\n\nlowest = price('a')\n")
    (tmp_path / "till.py").write_text(
        "from shop import price as cost\nimport shop\n\nprint(cost('a'), shop.price('b'))\n"
    )
    (tmp_path / "other.py").write_text("def price():\n    return 'price'\n\n\nprice()\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "secret.py").write_text("import shop\nshop.price('x')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def finder(static):
    return ReferenceFinder(static, PATIENCE_S)


def _places(found):
    return [(Path(each.file).name, each.line, each.column) for each in found.items]


def test_what_an_input_defines_is_found_in_all_inputs_in_order(finder, inputs):
    found = finder.find("double", None)
    assert (found.name, found.is_whole) == ("double", True)
    assert _places(found) == [("<In 1>", 3, 4), ("<In 2>", 1, 8), ("<In 2>", 2, 19)]
    assert [each.is_definition for each in found.items] == [True, False, False]
    assert found.items[1].text == "total = double(3)"


def test_the_code_that_is_asked_about_comes_last_and_once(finder, inputs):
    code = "x = 1\nprint(double(x))\n"
    found = finder.find(code, code.index("double") + 2)
    assert _places(found)[-1] == ("", 2, 6)
    # Run before, it is the same code.
    again = finder.find(_INPUTS[1], _INPUTS[1].index("double"))
    assert _places(again) == [("<In 1>", 3, 4), ("", 1, 8), ("", 2, 19)]


def test_local_names_are_looked_for_where_they_hold(finder, inputs):
    code = "def f(number):\n    return number\n"
    assert _places(finder.find(code, code.index("number"))) == [("", 1, 6), ("", 2, 11)]


def test_what_a_file_defines_is_found_in_inputs_and_files(finder, inputs, project):
    found = finder.find("shop.price", None)
    assert found.is_whole
    assert _places(found) == [
        ("<In 3>", 1, 15),
        ("shop.py", 1, 4),
        ("shop.py", 5, 9),
        ("till.py", 1, 17),
        ("till.py", 4, 22),
    ]
    assert found.items[1].file == str(project / "shop.py")


def test_too_little_time_is_told(static, inputs, project):
    assert not ReferenceFinder(static, 0.0).find("shop.price", None).is_whole


def test_what_is_no_file_or_none_of_a_person_is_not_looked_into(finder, inputs, project, monkeypatch):
    whole = _places(finder.find("shop.price", None))
    used = "import shop\nshop.price('c')\n"
    os.mkfifo(project / "pipe.py")
    (project / "long.py").write_text(used + "#" * references._MAX_FILE_BYTES)
    installed = project / "site-packages" / "installed_one.py"
    installed.parent.mkdir()
    installed.write_text(used)
    module = types.ModuleType("installed_one")
    module.__file__ = str(installed)
    monkeypatch.setitem(sys.modules, "installed_one", module)
    assert _places(finder.find("shop.price", None)) == whole


def test_the_kernels_own_modules_are_none_of_the_users():
    assert references.__file__ not in _list_files(os.devnull, [], float("inf"))


def test_more_files_than_are_looked_into_are_told(finder, inputs, project, monkeypatch):
    monkeypatch.setattr(references, "_MAX_FILES", 1)
    found = finder.find("shop.price", None)
    assert (found.is_whole, _places(found)) == (False, [("<In 3>", 1, 15), ("shop.py", 1, 4), ("shop.py", 5, 9)])


def test_folders_without_a_file_take_no_longer(tmp_path):
    with pytest.raises(TimeoutError):
        next(_walk(str(tmp_path), 0.0))


@pytest.mark.parametrize("code", ["", "nothing", "1 +", "x = (", "\x00", "total.nothing"])
def test_what_is_used_nowhere_has_no_references(finder, inputs, code):
    assert finder.find(code, None) == References("")


def test_inputs_are_joined_newest_first_as_long_as_there_is_room(inputs):
    module = join_inputs("x", len(_INPUTS[2]) + len(_INPUTS[1]) + 1)
    assert (module.files, module.is_whole) == (("<In 2>", "<In 3>", ""), False)
    assert [module.locate(line) for line in (1, 3, 4, 6)] == [("<In 2>", 1), ("<In 2>", 3), ("<In 3>", 1), ("", 1)]


def test_a_variable_is_defined_where_it_last_got_its_value(inputs, namespace, static):
    reader = HelpReader(namespace | {"total": 5, "prices": []}, static, "plain")
    assert reader.find_definition("total", None) == Definition("total", "<In 3>", 2, 11)
    assert reader.find_definition("prices", None) == Definition("prices", "<In 3>", 1, 0)
    assert reader.find_definition("total = 1\ntotal", 15) == Definition("total", "", 1, 0)
    assert find_assignment("shop") == Definition("shop", "<In 1>", 1, 7)
    assert find_assignment("number") is None
    assert find_assignment("each") is None
    assert "shop" not in sys.modules
