"""What benchmarks say of their own figures: an aim that is missed is called missed."""

import pytest

from benchmarks.measure import Comparison, compare, report


@pytest.mark.parametrize(
    ("aim", "ours", "peer", "is_reached"),
    [
        ("2x", 1.0, 2.0, True),
        ("2x", 1.0, 1.9, False),
        ("under 5 ms", 4.9, 1.0, True),
        ("under 5 ms", 5.0, 100.0, False),
        ("5x, under 10 ms", 9.0, 100.0, True),
        ("5x, under 10 ms", 11.0, 100.0, False),
        ("5x, under 10 ms", 9.0, 18.0, False),
        ("", 100.0, 1.0, True),
    ],
)
def test_an_aim_is_reached_or_missed(aim: str, ours: float, peer: float, is_reached: bool):
    assert Comparison("work", "ms", ours, peer, aim).is_reached is is_reached


def test_of_throughput_more_is_better():
    row = compare("work", lambda: 30.0, lambda: 10.0, rounds=3, unit="MB/s", aim="2.5x", more_is_better=True)
    assert (row.ratio, row.is_reached) == (3.0, True)


def test_what_was_missed_is_named(capsys: pytest.CaptureFixture[str]):
    rows = [Comparison("fast", "ms", 1.0, 9.0, "2x"), Comparison("slow", "ms", 9.0, 9.0, "2x")]
    assert report("title", rows) == ["slow: 1.0x; aim: 2x"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith("MISSED")] == ["slow"]
