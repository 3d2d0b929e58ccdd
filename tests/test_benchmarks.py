"""What benchmarks say of their own figures: an aim that is missed is called missed."""

import json

import pytest

from benchmarks import results
from benchmarks.measure import Comparison, Figure, compare, report


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


def _slower(then: Figure, now: Figure, then_echo_s: float = 1e-4, now_echo_s: float = 1e-4) -> str:
    return results.compare([then], then_echo_s, [now], now_echo_s)[-1].split()[-1]


def test_runs_are_compared_by_the_echo_of_each():
    then, now = Figure("road", "pass", "ms", {"ours": 1.0}), Figure("road", "pass", "ms", {"ours": 2.0})
    assert _slower(then, now) == "SLOWER"
    assert _slower(then, now, now_echo_s=2e-4) == "1.00x"  # the machine was slower by as much
    assert _slower(now, then) == "faster"


def test_of_throughput_and_of_counts_more_is_better_also_between_runs():
    assert _slower(
        Figure("bulk", "pull", "MB/s", {"ours": 10.0}, more_is_better=True),
        Figure("bulk", "pull", "MB/s", {"ours": 5.0}, more_is_better=True),
        now_echo_s=2e-4,
    ) == "1.00x"  # fmt: skip
    assert _slower(
        Figure("daily", "right", "", {"ours": 20.0}, more_is_better=True),
        Figure("daily", "right", "", {"ours": 10.0}, more_is_better=True),
        now_echo_s=2e-4,
    ) == "SLOWER"  # fmt: skip


def test_memory_is_compared_as_it_is():
    then, now = Figure("memory", "hub", "MB", {"ours": 30.0}), Figure("memory", "hub", "MB", {"ours": 60.0})
    assert _slower(then, now, now_echo_s=2e-4) == "SLOWER"


def test_a_run_is_written_and_read(tmp_path):
    figures = [Figure("road", "pass", "µs", {"ours": 400.0, "raw echo": 50.0}, "at most 8 times")]
    results.write(tmp_path / "run.json", figures, 5e-5)
    assert results.read(tmp_path / "run.json") == (figures, 5e-5)
    assert json.loads((tmp_path / "run.json").read_text())["python"]


@pytest.mark.parametrize("content", ["", "[]", '{"figures": []}', '{"figures": [{"x": 1}], "echo_s": 1}'])
def test_a_file_that_holds_no_run_is_refused(tmp_path, content: str):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SystemExit, match="holds no run of benchmarks"):
        results.read(tmp_path / "run.json")
