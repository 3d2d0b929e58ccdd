import json

import pytest

from rpyc_kernel.worker import payloads


def decode(data):
    return json.loads(data)


def test_what_is_not_too_large_travels_as_it_is():
    payload = {"text": "x" * 1000, "data": {"a": [1, 2]}}
    assert decode(payloads.encode("display", payload, 10_000)) == ["display", payload]


@pytest.mark.parametrize("large", ["x" * 1_000_000, {"m": "x" * 1_000_000}, ["x" * 10_000] * 100])
def test_the_largest_part_is_cut_and_the_others_stay(large):
    kind, payload = decode(payloads.encode("error", {"ename": "ValueError", "large": large}, 900_000))
    assert (kind, payload["ename"]) == ("error", "ValueError")
    assert type(payload["large"]) is type(large)
    assert len(str(payload["large"])) < 110_000
    assert not payload["large"] or "cut: 1,000,002 bytes" in payload["large"]


def test_of_a_value_its_text_is_kept_and_why_it_was_cut():
    payload = {"data": {"text/html": "h" * 1_000_000, "text/plain": "x" * 1_000_000}, "literal": None}
    _, cut = decode(payloads.encode("result", payload, 900_000, "cannot be handed on: no room"))
    assert cut["data"].keys() == {"text/plain"}
    assert cut["data"]["text/plain"].startswith("xxx")
    assert cut["data"]["text/plain"].endswith("bytes cannot be handed on: no room ...]")


def test_as_many_parts_are_cut_as_it_takes():
    payload = dict.fromkeys("abc", "😀" * 1000000)
    data = payloads.encode("display", payload, 10_000_000)
    assert len(data) < 10_000_000
    assert decode(data)[1].keys() == payload.keys()
