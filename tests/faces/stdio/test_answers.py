"""What a worker has found goes on as it came where it has the form of this release, and else as it is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.core import commands
from rpyc_kernel.core.introspection import Completion, Completions, Inspection, Package, make_found_encoder
from rpyc_kernel.faces.stdio.answers import describe, describer_of

encode_found = make_found_encoder(json)
COMPLETIONS = Completions(0, 2, (Completion("ab", "function"), Completion("ac", "class", "static")), False)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (commands.COMPLETE, COMPLETIONS),
        (commands.INSPECT, Inspection("ab", True, "int", "1")),
        (commands.PACKAGES, [Package("rpyc", "6"), Package("jedi", "1")]),
        (commands.DEFINITION, None),
    ],
)
def test_what_was_found_is_told_as_it_is_read(command: commands.Command[Any], found: Any) -> None:
    text = encode_found(found)
    assert describer_of(command)(text) == json.loads(text) == describe(reader_of(command)(text))


def test_what_a_worker_of_another_release_says_more_is_left_out_and_what_it_leaves_out_is_as_usual() -> None:
    found = json.loads(encode_found(COMPLETIONS))
    del found["is_whole"]
    found["items"][0]["more"] = found["more"] = 1
    assert describer_of(commands.COMPLETE)(json.dumps(found)) == {
        **json.loads(encode_found(COMPLETIONS)),
        "is_whole": True,
    }


@pytest.mark.parametrize("answer", ["[]", "1", "not JSON", '{"start": 0}', b"{}", None])
def test_what_nobody_has_found_is_an_error(answer: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        describer_of(commands.COMPLETE)(answer)
