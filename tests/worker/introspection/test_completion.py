"""What could stand at the cursor."""

import enum
import functools
import os
import threading
import types

import pytest

from rpyc_kernel.core.introspection import Completion
from rpyc_kernel.worker.introspection.completion import Completer
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from tests.worker.introspection.hostile import Descriptor, Trap, make_netref, touch


@pytest.fixture
def completer(namespace, static):
    return Completer(namespace, static, "plain")


def complete(completer, code, cursor=None):
    return completer.complete(code, len(code) if cursor is None else cursor)


def matches(completer, code, cursor=None):
    return list(complete(completer, code, cursor).matches)


def kinds(completer, code):
    return {item.text: item.kind for item in complete(completer, code).items}


def test_names_of_the_namespace_the_builtins_and_the_language_are_offered(completer, namespace):
    namespace.update(imaginary=1, _private=2)
    assert matches(completer, "im") == ["imaginary", "import"]
    assert "isinstance" in matches(completer, "x = is")
    assert matches(completer, "_p") == ["_private"]
    assert "_private" not in matches(completer, "")
    assert matches(completer, "nothing_like_this") == []


def test_completion_says_what_it_would_replace(completer, namespace):
    namespace["number"] = 1
    found = complete(completer, "print(numb + 1)", 10)
    assert (found.matches, found.start, found.end, found.is_whole) == (("number",), 6, 10, True)
    found = complete(completer, "number.rea")
    assert (found.matches, found.start, found.end) == (("real",), 7, 10)


def test_attributes_are_offered_along_a_path(completer, namespace):
    namespace["os"] = os
    assert matches(completer, "os.path.joi") == ["join"]
    assert "join" in matches(completer, "os.path.")
    assert "__doc__" not in matches(completer, "os.path.")
    assert "__doc__" in matches(completer, "os.path.__d")
    assert matches(completer, "os.nothing.") == matches(completer, "nothing.") == []


@pytest.mark.parametrize("code", ["f().im", "'text'.im", "f() .im", "1..im"])
def test_names_of_the_namespace_are_no_attributes(completer, namespace, code):
    namespace["imaginary"] = 1
    assert "imaginary" not in matches(completer, code)


def test_a_name_of_another_script_is_completed(completer, namespace):
    namespace["größe"] = 1
    assert matches(completer, "grö") == ["größe"]


def test_the_user_hides_builtins(completer, namespace):
    namespace["list"] = {}
    assert "keys" in matches(completer, "list.")


def test_completion_offers_what_it_must_not_run(completer, namespace):
    namespace["trap"] = Trap()
    assert set(matches(completer, "trap.")) == {"a_property", "cached", "attribute", "method"}


@pytest.mark.parametrize("name", ["a_property", "cached", "descriptor"])
def test_completion_does_not_run_what_computes_an_attribute(completer, namespace, name):
    namespace["trap"] = type("T", (Trap,), {"descriptor": Descriptor()})()
    assert matches(completer, f"trap.{name}.") == []
    assert matches(completer, f"trap.{name}.re") == []


def test_completion_does_not_ask_an_object_that_answers_for_every_name(completer, namespace):
    namespace["trap"] = type("T", (), {"__getattr__": touch})()
    assert matches(completer, "trap.anything.") == []


def test_a_property_that_was_computed_and_kept_is_followed(completer, namespace):
    owner = type("T", (), {"cached": functools.cached_property(lambda self: "text")})
    owner.cached.__set_name__(owner, "cached")
    namespace["kept"] = owner()
    assert namespace["kept"].cached == "text"
    assert "upper" in matches(completer, "kept.cached.")


def test_methods_slots_and_class_attributes_are_followed(completer, namespace):
    namespace["Slotted"] = type("Slotted", (), {"__slots__": ("slot",), "shared": "text"})
    namespace["slotted"] = namespace["Slotted"]()
    namespace["slotted"].slot = 3
    assert "real" in matches(completer, "slotted.slot.")
    assert "upper" in matches(completer, "slotted.shared.")
    assert "upper" in matches(completer, "Slotted.shared.")
    namespace["trap"] = Trap()
    assert "__func__" in matches(completer, "trap.method.__f")


def test_completion_never_touches_an_object_of_a_client(completer, namespace):
    namespace["theirs"] = make_netref()
    assert matches(completer, "the") == ["theirs"]
    assert matches(completer, "theirs.") == matches(completer, "theirs.append.") == []


@pytest.mark.parametrize("listing", [touch, lambda self: [3, None, "name"], lambda self: None])
def test_an_object_is_not_asked_for_its_attributes(completer, namespace, listing):
    namespace["strange"] = type("Strange", (), {"__dir__": listing, "there": 1})()
    assert matches(completer, "strange.") == ["there"]


def test_keys_that_are_no_names_are_not_offered(completer, namespace):
    namespace.update({3: 1, ("t",): 1, "sur\ud800rogate": 1, "su": 2})
    assert [name for name in matches(completer, "su") if name in namespace] == ["su"]


def test_completion_works_while_names_come_and_go(completer, namespace):
    is_done = threading.Event()

    def work():
        number = 0
        while not is_done.is_set():
            number += 1
            namespace[f"name_{number % 1000}"] = number
            namespace.pop(f"name_{(number + 500) % 1000}", None)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(200):
            matches(completer, "name_")
    finally:
        is_done.set()
        thread.join()


def test_only_so_many_matches_are_returned(completer, namespace):
    namespace.update({f"x{number}": 1 for number in range(2000)})
    found = complete(completer, "x")
    assert (len(found.items), found.is_whole) == (500, False)


def test_each_match_has_a_kind(completer, namespace):
    namespace.update(os=os, trap=Trap(), Trap=Trap, number=1)
    assert kinds(completer, "os.pat") == {"path": "module", "pathconf": "function", "pathconf_names": "instance",
                                          "pathsep": "instance"}  # fmt: skip
    assert kinds(completer, "trap.") == {
        "a_property": "property", "cached": "property", "attribute": "instance", "method": "function",
    }  # fmt: skip
    assert kinds(completer, "Tra")["Trap"] == "class"
    assert kinds(completer, "numb")["number"] == "instance"
    assert kinds(completer, "whi") == {"while": "keyword"}


def test_what_stands_in_a_container_is_followed(completer, namespace):
    namespace.update(items=[{"key": "text"}], deep={"a": {"b": os}})
    assert "upper" in matches(completer, "items[0]['key'].up")
    assert "path" in matches(completer, "deep['a'][\"b\"].pa")
    assert matches(completer, "items[5].up") == matches(completer, "items['no'].up") == []


def test_keys_are_offered_inside_brackets(completer, namespace):
    namespace["table"] = {"first": 1, "fine": 2, 3: 4, "it's": 5, "other": 6}
    found = complete(completer, "print(table['fi")
    assert (found.matches, found.start, found.items[0].kind) == (("fine", "first"), 13, "key")
    assert matches(completer, 'table["') == ["fine", "first", "it's", "other"]


def test_columns_of_a_frame_are_offered_as_keys_and_as_attributes(completer, namespace):
    pandas = pytest.importorskip("pandas")
    namespace["frame"] = pandas.DataFrame({"price": [1], "prime": [2], "two words": [3]})
    assert matches(completer, "frame['pri") == ["price", "prime"]
    assert matches(completer, "frame.pri") == ["price", "prime"]


def test_names_of_numpy_are_offered_with_their_kinds(completer, namespace):
    numpy = pytest.importorskip("numpy")
    namespace.update(np=numpy, array=numpy.zeros(3))
    assert kinds(completer, "np.lin") == {"linalg": "module", "linspace": "function"}
    assert kinds(completer, "np.sinh") == {"sinh": "function"}
    assert "reshape" in matches(completer, "array.resh")
    assert "real" in matches(completer, "array.T.re")


def test_members_of_an_enumeration_are_followed(completer, namespace):
    namespace["Colour"] = enum.Enum("Colour", ["RED", "GREEN"])
    assert matches(completer, "Colour.R") == ["RED"]
    assert "value" in matches(completer, "Colour.RED.val")


def test_parameters_of_the_open_call_are_offered(completer, namespace):
    def function(alpha, /, beta, *, gamma=1, **others): ...

    namespace["function"] = function
    assert [item for item in complete(completer, "function(1, be").items if item.kind == "param"] == [
        Completion("beta=", "param")
    ]
    assert "gamma=" in matches(completer, "function(1, [2, (3)], g")
    assert "alpha=" not in matches(completer, "function(al")


def test_files_are_offered_in_strings_that_look_like_paths(completer, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "form.txt").touch()
    assert matches(completer, f"open('{tmp_path}/fo") == [f"{tmp_path}/folder/", f"{tmp_path}/form.txt"]
    assert matches(completer, "print('im") == []


def test_files_are_offered_beside_a_link_that_leads_in_circles(completer, tmp_path):
    (tmp_path / "form.txt").touch()
    (tmp_path / "forever").symlink_to(tmp_path / "forever")
    assert matches(completer, f"open('{tmp_path}/fo") == [f"{tmp_path}/forever", f"{tmp_path}/form.txt"]


@pytest.mark.parametrize("folder", ["nul\0", "sur\ud800rogate", "absent"], ids=["nul", "surrogate", "absent"])
def test_no_files_are_offered_in_a_folder_that_cannot_be(completer, tmp_path, folder):
    assert matches(completer, f"open('{tmp_path}/{folder}/fo") == []


def test_an_imported_module_tells_its_own_names(completer):
    assert "path" in matches(completer, "from os import pa")
    assert "join" in matches(completer, "from os.path import isdir, jo")
    assert "join" in matches(completer, "from os.path import (isdir, jo")
    assert "join" in matches(completer, "from os.path import(jo")
    assert "join" in matches(completer, "from os.path import  ")
    assert matches(completer, "from os import path as jo") == []


def test_a_module_that_hides_its_listing_is_not_asked(completer, namespace):
    namespace["module"] = module = types.ModuleType("strange")
    vars(module).update(__dir__=touch, __getattr__=touch, there=1)
    assert matches(completer, "module.") == ["there"]
    assert matches(completer, "module.absent.") == []


def test_an_empty_slot_does_not_wake_getattr(completer, namespace):
    namespace["slotted"] = type("Slotted", (), {"__slots__": ("slot",), "__getattr__": touch})()
    assert matches(completer, "slotted.slot.") == []


def test_a_hostile_metaclass_is_not_asked(completer, namespace):
    meta = type("Meta", (type,), {"__getattribute__": touch, "__dir__": touch})
    namespace["Strange"] = meta("Strange", (), {"there": 1})
    assert kinds(completer, "Stran")["Strange"] == "class"
    assert matches(completer, "Strange.the") == ["there"]


# What the source promises


def test_local_names_come_from_the_source_beside_what_is_live(completer, namespace):
    namespace["alive"] = 1
    found = {item.text: item for item in complete(completer, "def f(alpha):\n    return al").items}
    assert found["alive"] == Completion("alive", "instance", "live")
    assert found["alpha"] == Completion("alpha", "param", "static")
    assert found["all"].origin == "live"


def test_words_of_the_code_stand_in_for_what_there_is_no_time_to_read(namespace):
    reader = SourceAnalyzer(namespace, budget_s=0)
    found = complete(Completer(namespace, reader, "plain"), "def f(alpha):\n    'alphabet'  # alpine\n    return al")
    reader.close()
    assert Completion("alpha", "instance", "static") in found.items
    assert not found.is_whole
    assert not {"alphabet", "alpine", "al"} & set(found.matches)


def test_what_only_running_the_code_would_give_is_read_from_the_source(completer):
    items = complete(completer, "'text'.spl").items
    assert items == (Completion("split", "function", "static"), Completion("splitlines", "function", "static"))


def test_a_name_that_the_code_binds_anew_is_not_only_what_it_is_now(completer, namespace):
    namespace["thing"] = 1
    found = {item.text: item.origin for item in complete(completer, "thing = 'text'\nthing.").items}
    assert found["real"] == "live"
    assert found["upper"] == "static"


def test_modules_are_offered_for_import(completer):
    assert "colorsys" in matches(completer, "import colo")


def test_the_source_reader_runs_no_code_of_the_namespace(completer, namespace):
    hostile = type("Hostile", (), {"__getattr__": touch, "__dir__": touch, "__call__": touch, "value": property(touch)})
    namespace.update(hostile=hostile(), Hostile=hostile, theirs=make_netref(), holder=[make_netref()])
    for name in ("hostile", "Hostile()", "theirs", "holder[0]", "hostile.value", "Hostile().value"):
        complete(completer, f"x = {name}\nx.absent().")
        complete(completer, f"{name}().")


@pytest.mark.parametrize(
    ("code", "is_enough"),
    [
        ("thing = 1\nthing.", False),
        ("with open() as thing:\n    thing.", False),
        ("for other, thing in pairs:\n    thing.", False),
        ("for thing in things:\n    thing.", False),
        ("lambda other, thing: thing.", False),
        ("def f(thing):\n    thing.", False),
        ("import thing\nthing.", False),
        ("thing == 1\nthing.", True),
        ("for something in things:\n    thing.", True),
        ("other(thing) if thing else for_all\nthing.", True),
        ("thing; import other\nthing.", True),
    ],
)
def test_the_source_is_read_where_it_gives_a_name_another_meaning(namespace, code, is_enough):
    read = []
    namespace["thing"] = 1
    source = types.SimpleNamespace(read=lambda *question: read.append(question))
    complete(Completer(namespace, source, "plain"), code)
    assert (not read) == is_enough
