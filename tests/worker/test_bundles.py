"""What of a MIME bundle travels, and how."""

import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from rpyc_kernel.worker.bundles import clean_bundle

_NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (_NOON, "2026-01-02T12:00:00Z"),
        (_NOON.date(), "2026-01-02"),
        ([{"at": _NOON}], [{"at": "2026-01-02T12:00:00Z"}]),
        ({1}, [1]),
        (b"ab", "YWI="),
        (Fraction(1, 2), 0.5),
        ({"plain": [1, None, "a"]}, {"plain": [1, None, "a"]}),
    ],
)
def test_what_json_does_not_know_is_translated(value: Any, carried: Any, capsys: pytest.CaptureFixture[str]) -> None:
    data, metadata = clean_bundle({"application/json": {"value": value}}, {"about": value})
    assert data == {"application/json": {"value": carried}}
    assert metadata == {"about": carried}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("metadata", [{"about": object()}, {"about": Decimal(1)}, [1], 5])
def test_metadata_that_cannot_travel_is_left_out_and_the_reason_told(
    metadata: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clean_bundle({"text/plain": "x"}, metadata) == ({"text/plain": "x"}, {})
    assert "metadata of a MIME bundle" in capsys.readouterr().err
