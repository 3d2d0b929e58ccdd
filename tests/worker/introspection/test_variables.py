"""What the user has, and what is in it."""

import collections
import dataclasses
import datetime
import enum
import json
import math
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.introspection import Variable, make_found_encoder
from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.worker.introspection.paths import resolve
from rpyc_kernel.worker.introspection.variables import Variables, describe
from tests.worker.introspection.hostile import Trap, make_netref, touch

encode_found = make_found_encoder(json)


@pytest.fixture
def variables(namespace):
    return Variables(namespace, frozenset(namespace))


def show(value):
    return describe("name", "name", value)


def children_of(value, start=0, count=100):
    return Variables({"value": value}, frozenset()).children("value", start, count)


# The list


def test_variables_are_what_the_user_defined(variables, namespace):
    namespace.update(b=[1, 2, 3], a="text", _hidden=1)
    assert variables.list(0, 100) == [
        Variable("a", "a", "str", 4, preview="'text'"),
        Variable("b", "b", "list", 3, preview="[1, 2, 3]", has_children=True, has_cells=True),
    ]


def test_the_list_can_be_read_in_parts(variables, namespace):
    namespace.update({f"name{number:04}": number for number in range(1005)})
    assert [each.preview for each in variables.list(1003, 1000)] == ["1003", "1004"]
    assert variables.list(0, 0) == variables.list(2**62, 1000) == []


def test_arrays_and_tables_are_described_by_shape_and_type():
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    about = show(numpy.zeros((3, 4), "float32"))
    assert (about.type, about.size, about.shape, about.dtype) == ("ndarray", 12, (3, 4), "float32")
    assert about.preview == "[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, ...]"
    about = show(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert (about.shape, about.dtype, about.preview) == ((2, 2), None, "2 rows x 2 columns: ['a', 'b']")
    about = show(pandas.Series([1.5, 2.5]))
    assert (about.shape, about.dtype, about.preview) == ((2,), "float64", "[1.5, 2.5]")
    assert show(numpy.float64(1.5)).preview == "1.5"
    assert show(pandas.Timestamp("2024-01-02")).preview == "2024-01-02 00:00:00"
    assert show(numpy.array(3)).preview == "[3]"


def test_an_array_of_objects_is_not_asked_what_they_are():
    numpy = pytest.importorskip("numpy")
    array = numpy.empty(2, object)
    array[0], array[1] = Trap(), make_netref()
    assert "Trap object>" in show(array).preview


def test_a_class_derived_from_an_array_is_not_trusted():
    numpy = pytest.importorskip("numpy")
    hostile = type("Hostile", (numpy.ndarray,), {"shape": property(touch), "dtype": property(touch), "size": touch})
    about = show(numpy.ndarray.__new__(hostile, (2,)))
    assert (about.shape, about.dtype) == (None, None)


def test_objects_are_listed_without_being_asked(variables, namespace):
    namespace.update(trap=Trap(), theirs=make_netref(), inside=[Trap(), make_netref()], keyed={"k": make_netref()})
    listed = {about.name: about for about in variables.list(0, 100)}
    assert (listed["theirs"].type, listed["theirs"].preview) == ("client object", "<an object in a client>")
    assert not listed["theirs"].has_children
    assert listed["trap"].preview.endswith("Trap object>")
    assert listed["inside"].size == 2


def test_a_class_derived_from_a_container_is_read_as_what_it_is_derived_from():
    hostile = type("Hostile", (list,), {"__len__": touch, "__repr__": touch, "__iter__": touch, "__getitem__": touch})
    about = show(hostile([1, 2]))
    assert (about.type, about.size, about.has_children) == ("Hostile", 2, True)
    assert [child.preview for child in children_of(hostile([1, 2])).items] == ["1", "2"]


@pytest.mark.parametrize("stop", [10**20, 10**5000], ids=["long", "very long"])
def test_a_value_that_cannot_be_measured_hides_no_other(variables, namespace, stop):
    namespace.update(a=range(stop), b=[range(stop)], c=1)
    assert [about.name for about in variables.list(0, 100)] == ["a", "b", "c"]
    (inner,) = variables.children("b", 0, 100).items
    assert (inner.type, inner.size, inner.preview[:9]) == ("range", None, "range(0, ")
    json.loads(encode_found(variables.list(0, 100)))
    with pytest.raises(NotAvailable, match="too long"):
        variables.children("a", 0, 100)


def test_a_failure_to_look_into_one_value_hides_no_other(variables, namespace, monkeypatch):
    def fail(value):
        raise ValueError("nobody has thought of this")

    monkeypatch.setattr("rpyc_kernel.worker.introspection.variables.has_cells", fail)
    monkeypatch.setattr("rpyc_kernel.worker.previews._sketch_known", fail)
    namespace.update(odd=Trap(), even=1)
    assert variables.list(0, 100) == [
        Variable("even", "even", "int", preview="1"),
        Variable("odd", "odd", "Trap", preview="<Trap object>"),
    ]


def test_the_type_of_the_elements_is_told_unless_that_asks_a_time_zone_of_the_users():
    pandas = pytest.importorskip("pandas")
    zone = type("Zone", (datetime.tzinfo,), {"utcoffset": lambda self, when: datetime.timedelta(0), "__str__": touch})
    known, unknown = (pandas.DatetimeIndex(["2024-01-02"], tz=each) for each in ("UTC", zone()))
    assert show(known).dtype.endswith(", UTC]")
    assert (show(unknown).size, show(unknown).dtype) == (1, None)


# Children


@dataclasses.dataclass
class Server:
    name: str
    ports: list


class Slotted:
    __slots__ = ("empty", "full")


def names(page):
    return [item.name for item in page.items]


def previews(page):
    return {item.name: item.preview for item in page.items}


def test_children_come_page_by_page():
    page = children_of(list(range(1000)), 500, 3)
    assert (page.path, page.count, page.start) == ("value", 1000, 500)
    assert [(item.name, item.path, item.preview) for item in page.items] == [
        ("[500]", "value[500]", "500"), ("[501]", "value[501]", "501"), ("[502]", "value[502]", "502"),
    ]  # fmt: skip
    assert children_of([1, 2], 5).items == ()
    assert len(children_of(range(10**9), 0, 1000).items) == 1000


def test_a_list_of_a_million_is_opened_at_its_end():
    page = children_of([None] * 1_000_000, 999_999, 10)
    assert (page.count, names(page)) == (1_000_000, ["[999999]"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ((1, "a"), {"[0]": "1", "[1]": "'a'"}),
        (range(5, 7), {"[0]": "5", "[1]": "6"}),
        (collections.deque([1]), {"[0]": "1"}),
        ({"k": 1, 2: 3, None: 4}, {"'k'": "1", "2": "3", "None": "4"}),
        (collections.OrderedDict(a=1), {"'a'": "1"}),
        (collections.defaultdict(list, a=1), {"'a'": "1"}),
        ({5}, {"{0}": "5"}),
        (frozenset({5}), {"{0}": "5"}),
        (Server("s", [80]), {"name": "'s'", "ports": "[80]"}),
        (types.SimpleNamespace(x=1), {"x": "1"}),
        (types.ModuleType("empty"), {}),
        (5, {}),
        ("text", {}),
        (len, {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_children_of_each_kind_of_value(value, shown):
    page = children_of(value)
    assert previews(page) == shown
    assert page.count == len(shown)


def test_slots_are_children_where_they_are_filled():
    slotted = Slotted()
    slotted.full = 1
    assert previews(children_of(slotted)) == {"full": "1"}


def test_the_children_of_modules_and_classes_are_what_stands_in_them():
    assert previews(children_of(math))["pi"] == str(math.pi)
    colour = enum.Enum("Colour", ["RED"])
    assert "RED" in names(children_of(colour))
    assert "ports" not in names(children_of(Slotted))


def test_properties_and_methods_are_no_children():
    trap = Trap()
    trap.own = 1
    assert names(children_of(trap)) == ["own"]


def test_what_contains_itself_can_be_opened_again_and_again(namespace):
    items = []
    items.append(items)
    path = "value"
    for _ in range(20):
        (child,) = Variables({"value": items}, frozenset()).children(path, 0, 100).items
        path = child.path
    assert path == "value" + "[0]" * 20


keys = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(keys, st.integers(), max_size=8))
def test_the_path_of_every_child_leads_to_it_whatever_its_key(value):
    page = children_of({"inner": value})
    namespace = {"value": {"inner": value}}
    page = Variables(namespace, frozenset()).children(page.items[0].path, 0, 100)
    json.loads(encode_found(page))
    assert [resolve(namespace, item.path) for item in page.items] == list(value.values())


@given(st.sets(keys, max_size=8))
def test_the_path_of_every_element_of_a_set_leads_to_it(value):
    assert [id(resolve({"value": value}, item.path)) for item in children_of(value).items] == [id(i) for i in value]


# Names that the class has too, such as __dict__, mean the class's.
@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: not hasattr(types.SimpleNamespace, name)), st.integers(), max_size=8
    )
)
def test_the_path_of_every_attribute_leads_to_it_whatever_its_name(attributes):
    value = types.SimpleNamespace(**attributes)
    shown = [resolve({"value": value}, item.path) for item in children_of(value).items]
    assert shown == [attributes[name] for name in sorted(attributes)]


def test_a_path_by_identity_finds_what_has_moved():
    key = (1, 2)
    value = {key: "found"}
    (child,) = children_of(value).items
    value.pop(key)
    value.update({"before": 0, key: "found"})
    assert resolve({"value": value}, child.path) == "found"
    value.pop(key)
    with pytest.raises(NotAvailable):
        resolve({"value": value}, child.path)


def test_keys_that_must_not_be_asked_are_reached_by_identity():
    key = Trap.__new__(type("Key", (Trap,), {"__hash__": lambda self: 1}))
    (child,) = children_of({key: "found"}).items
    assert resolve({"value": {key: "found"}}, child.path) == "found"


def test_what_has_no_positions_is_not_walked_through_for_ever():
    value = dict.fromkeys(range(1_000_100))
    assert names(children_of(value, 1_000_000, 1)) == ["1000000"]
    with pytest.raises(RequestError, match="up to child 1000000"):
        children_of(value, 1_000_001, 1)


@pytest.mark.parametrize(
    "path", ["", "1", "value[", "value.", "value[a.b]", "value()", "value[0]x", "value[0:1]", "a b"]
)
def test_what_is_no_path_is_refused(path):
    with pytest.raises(RequestError):
        Variables({"value": [1]}, frozenset()).children(path, 0, 100)


@pytest.mark.parametrize("path", ["absent", "value.absent", "value[7]", "value['x']", "value[@0:1]", "trap.a_property"])
def test_a_path_to_nothing_says_so(path):
    with pytest.raises(NotAvailable, match="there is nothing at"):
        Variables({"value": [1], "trap": Trap()}, frozenset()).children(path, 0, 100)


@pytest.mark.parametrize("path", [r"value.'\x'", r"value.'\u12'", r"value['\N{none}']"])
def test_a_path_with_a_name_that_is_no_literal_leads_to_nothing(path):
    with pytest.raises(NotAvailable, match="there is nothing at"):
        Variables({"value": types.SimpleNamespace()}, frozenset()).children(path, 0, 100)


def test_looking_for_a_key_adds_none():
    value = {"default": collections.defaultdict(list), "trap": type("D", (dict,), {"__missing__": touch})()}
    for path in ("value['default']['absent']", "value['trap']['absent']"):
        with pytest.raises(NotAvailable):
            resolve({"value": value}, path)
    assert not value["default"]


@pytest.mark.parametrize("method", ["copy", "keys", "items", "get", "__iter__", "__getitem__", "__len__"])
def test_a_derived_dict_of_attributes_is_not_asked(method):
    value = type("Owner", (), {})()
    value.__dict__ = type("Attributes", (dict,), {method: touch})(own=1)
    assert previews(children_of(value)) == {"own": "1"}
    assert resolve({"value": value}, "value.own") == 1


# Changing


def test_a_variable_is_set_to_a_literal(variables, namespace):
    variables.set("x", "{'a': [1, (2, None)], 'b': b'c'}")
    assert namespace["x"] == {"a": [1, (2, None)], "b": b"c"}


@pytest.mark.parametrize("literal", ["", "f()", "x", "[i for i in y]", "1 +", "__import__('os')", "(" * 1000, "\0"])
def test_what_is_no_literal_is_refused(variables, namespace, literal):
    with pytest.raises(RequestError, match="no literal"):
        variables.set("x", literal)
    assert "x" not in namespace


@pytest.mark.parametrize("name", ["__name__", "__builtins__"])
def test_what_belongs_to_the_interpreter_stays_as_it_is(variables, namespace, name):
    before = dict(namespace)
    namespace["x"] = 1
    for change in (
        lambda: variables.set(name, "1"),
        lambda: variables.delete(name),
        lambda: variables.rename("x", name),
        lambda: variables.rename(name, "y"),
    ):
        with pytest.raises(RequestError, match="belongs to the interpreter"):
            change()
    assert namespace == {**before, "x": 1}


def test_a_variable_is_deleted_and_renamed(variables, namespace):
    namespace.update(a=1, b=2)
    variables.delete("a")
    variables.rename("b", "c")
    assert "a" not in namespace
    assert "b" not in namespace
    assert namespace["c"] == 2
    for change in (lambda: variables.delete("a"), lambda: variables.rename("a", "d")):
        with pytest.raises(NotAvailable, match="no variable 'a'"):
            change()


def test_renaming_hides_no_other_variable(variables, namespace):
    namespace.update(a=1, b=2)
    with pytest.raises(RequestError, match="'b' already"):
        variables.rename("a", "b")
    assert (namespace["a"], namespace["b"]) == (1, 2)
