"""What is damaged on disk says so, and takes no other event away."""

import math

import pytest

from rpyc_kernel.core.contract import Kind, Outcome, decode_events, encode_events
from rpyc_kernel.hub.journal.rows import check_row


def read(
    *, seq=7, when=1.5, kind=Kind.STREAM, execution=3, session="a", payload='{"name":"stdout","text":"x"}', is_json=1
):
    (event,) = decode_events(encode_events([check_row((seq, when, kind, execution, session, payload, is_json))]))
    return event


def test_a_sound_row_is_an_event():
    event = read()
    assert (event.seq, event.time, event.kind, event.execution, event.session) == (7, 1.5, Kind.STREAM, 3, "a")
    assert event.payload == {"name": "stdout", "text": "x"}


def test_a_payload_that_is_json_to_python_only_is_made_strict():
    assert read(kind=Kind.COMM, payload='{"y":[NaN,1]}', is_json=0).payload == {"y": [None, 1]}


@pytest.mark.parametrize("payload", ["{", "[1]", "5", "", "\0", None, b"x", 5, '{"text":NaN}'])
def test_a_payload_that_cannot_be_read_says_so(payload):
    event = read(payload=payload, is_json=payload in ("[1]", "5"))
    assert (event.seq, event.kind, event.execution) == (7, Kind.JOURNAL_TROUBLE, 3)
    assert "event 7 (stream) cannot be read" in event.message


def test_an_end_that_cannot_be_read_is_an_end():
    event = read(kind=Kind.FINISHED, payload="{", is_json=0)
    assert (event.kind, event.execution, event.outcome) == (Kind.FINISHED, 3, Outcome.LOST)
    assert "cannot be read" in event.reason


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": 'x","'},
        {"kind": None},
        {"kind": b"x"},
        {"when": None},
        {"when": math.inf},
        {"when": "x"},
        {"execution": "x"},
        {"execution": 1.5},
        {"execution": -1},
        {"execution": 2**63 - 1},
        {"session": 5},
        {"session": b"x"},
    ],
    ids=str,
)
def test_other_fields_that_cannot_be_read_take_away_no_other_event(damage):
    assert read(**damage).seq == 7
