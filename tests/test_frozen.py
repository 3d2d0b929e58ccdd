import copy
import pickle

import pytest

from rpyc_kernel.frozen import Frozen, changed, fields_of


class Place(Frozen):
    name: str
    port: int = 7


class Twin(Frozen):
    name: str
    port: int = 7


class Single(Frozen, eq=False):
    name: str


class Checked(Frozen):
    port: int

    def __post_init__(self):
        if self.port < 0:
            raise ValueError("no port")


class Empty(Frozen):
    pass


def test_fields_are_given_by_place_or_by_name_or_left_out():
    assert Place("a") == Place(name="a", port=7) == Place("a", 7)
    assert repr(Place("a", port=8)) == "Place(name='a', port=8)"
    assert repr(Empty()) == "Empty()"


@pytest.mark.parametrize(("values", "named"), [((), {}), (("a", 7, 8), {}), (("a",), {"size": 1})])
def test_what_is_missing_or_no_field_is_refused(values, named):
    with pytest.raises(TypeError, match="argument"):
        Place(*values, **named)


def test_only_those_of_one_class_and_of_equal_fields_are_equal():
    assert Place("a") != Twin("a")
    assert Place("a") != Place("b")
    assert {Place("a"), Place("a"), Place("b")} == {Place("b"), Place("a")}
    assert Empty() == Empty()
    assert Single("a") != Single("a")
    assert len({Single("a"), Single("a")}) == 2


def test_one_is_made_of_another_and_checked_like_any():
    assert changed(Place("a"), port=9) == Place("a", 9)
    with pytest.raises(ValueError, match="no port"):
        changed(Checked(1), port=-1)


def test_none_changes():
    place = Place("a")
    with pytest.raises(AttributeError, match="no Place changes"):
        place.name = "b"
    assert place.name == "a"


def test_fields_are_told_matched_and_copied():
    place = Place("a", 9)
    assert fields_of(place) == {"name": "a", "port": 9}
    assert pickle.loads(pickle.dumps(place)) == copy.copy(place) == place
    match place:
        case Place(name, port):
            assert (name, port) == ("a", 9)
