"""The words that cross the wire: complete, unambiguous, and spelled in one place."""

import ast
import copy
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpyc_kernel
from rpyc_kernel.core import contract
from rpyc_kernel.core.contract import (
    FIELDS,
    Event,
    Force,
    Kind,
    Lane,
    Outcome,
    Role,
    Scope,
    State,
    decode_events,
    encode_events,
    freeze,
)

PACKAGE = Path(rpyc_kernel.__file__).parent

names = st.text(min_size=1, max_size=8)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
json_values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
payloads = st.dictionaries(names, json_values, max_size=4)


def constants(words):
    return {value for name, value in vars(words).items() if name.isupper()}


def are_plain(value):
    """Whether RPyC's brine carries the value."""
    if isinstance(value, tuple):
        return all(are_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))


# Freezing


@given(payloads)
def test_what_is_frozen_travels_by_value(payload):
    assert are_plain(freeze(payload))


def test_pairs_read_back_as_a_dict_without_anything_of_ours():
    frozen = freeze({"text": {"plain": "1"}, "literal": "1", "chain": [["KeyError", "1"]]})
    assert dict(dict(frozen)["text"]) == {"plain": "1"}
    assert dict(frozen)["chain"] == (("KeyError", "1"),)


# Events


EVENT = Event(7, 1.5, Kind.STREAM, 3, "a", {"name": "stdout", "text": "hi"})


def test_the_fields_of_a_payload_read_as_attributes():
    assert (EVENT.text, EVENT.name) == ("hi", "stdout")


def test_a_field_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(AttributeError, match=r"a 'stream' event has no field 'outcome'; it has name, text"):
        _ = EVENT.outcome
    assert not hasattr(EVENT, "outcome")


def test_an_event_survives_copying_and_pickling():
    assert copy.deepcopy(EVENT) == EVENT
    assert pickle.loads(pickle.dumps(EVENT)) == EVENT


def test_an_event_cannot_be_changed():
    with pytest.raises(AttributeError):
        EVENT.seq = 8


@given(payloads)
def test_an_event_is_rebuilt_from_the_wire(payload):
    rows = [(7, 1.5, Kind.DISPLAY, 3, 'a "b"', json.dumps(payload)), (8, 2.0, Kind.DISPLAY, None, None, "{}")]
    told = [Event(7, 1.5, Kind.DISPLAY, 3, 'a "b"', payload), Event(8, 2.0, Kind.DISPLAY, None, None, {})]
    assert decode_events(encode_events(rows)) == told
    assert decode_events(encode_events([])) == []


@given(payloads)
def test_an_event_is_one_dict_that_json_carries(payload):
    told = json.loads(json.dumps(Event(7, 1.5, Kind.DISPLAY, None, None, payload).as_dict()))
    assert told.keys() >= {"seq", "time", "kind", "execution", "session"} | payload.keys()


def test_no_field_hides_behind_an_attribute_of_every_event():
    taken = set(dir(Event)) | {"seq", "time", "kind", "execution", "session", "payload"}
    assert not {field for fields in FIELDS.values() for field in fields} & taken


# Words


def test_every_kind_has_its_fields_and_nothing_else_has():
    assert set(FIELDS) == constants(Kind)
    assert all(len(set(fields)) == len(fields) for fields in FIELDS.values())


@pytest.mark.parametrize("words", [Kind, Outcome, State, Lane, Role, Force, Scope])
def test_no_two_names_mean_the_same(words):
    values = [value for name, value in vars(words).items() if name.isupper()]
    assert len(set(values)) == len(values)


HOMONYMS = {
    # What else these words say, besides being kinds or outcomes.
    # A key of the answers to whoever starts a hub, here or on another machine, or brings a bundle there.
    "error": {
        "hub/__main__.py",
        "system/attach_script.py",
        "system/hub_start.py",
        "client/attaching.py",
        "client/outpost.py",
        "client/ssh.py",
        "client/ssh_command.py",
        "system/bundle_cache.py",
    },
    "queued": {"client/execution_record.py"},  # where an execution stands that has no outcome yet
    "cancelled": {"errors.py"},  # which may import nothing
    "comm": {"worker/comms.py"},  # the name of a package
    # Kinds of Jupyter's messages, which code in a notebook sends.
    "clear_output": {"worker/engines/notebook_kernel.py", "worker/guest_parts.py"},
    "display": {"worker/guest_parts.py"},  # the name of a function, as the one before
    "stream": {"worker/engines/notebook_kernel.py"},
    # What code in a notebook gets of its kernel, and gives to IPython's payloads.
    "ok": {"worker/engines/notebook_kernel.py"},
    "page": {"worker/engines/shell_parts.py"},
    "result": {"client/debugger.py"},  # what a debugger calls a value
}
OTHER_LANGUAGES = ("cli", "faces", "fleets")
"""What speaks to people, and in other protocols, where the same words mean what they mean there."""


def spelled_words(path, words):
    """The string constants of a file that equal one of ``words``."""
    constants_of_file = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant))
    return {(node.value, node.lineno) for node in constants_of_file if node.value in words}


def test_kinds_and_outcomes_are_spelled_in_the_contract_alone():
    words = constants(Kind) | constants(Outcome)
    found = {
        f"{path.relative_to(PACKAGE)}:{line} {word!r}"
        for path in PACKAGE.rglob("*.py")
        if path != Path(contract.__file__) and path.relative_to(PACKAGE).parts[0] not in OTHER_LANGUAGES
        for word, line in spelled_words(path, words)
        if path.relative_to(PACKAGE).as_posix() not in HOMONYMS.get(word, ())
    }
    assert not found
