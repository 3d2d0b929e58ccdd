"""What benchmarks say of their own figures: an aim that is missed is called missed."""

import contextlib
import json
import mmap
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks import faces, groups, growth, many_kernels, results, spinning
from benchmarks.measure import Figure, compare, report
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.journal.store import Store
from tests.support.waiting import wait_until

_WORKS = {"fast": 1.0, "slow": 9.0}


@pytest.mark.parametrize(
    ("aim", "ours", "peer", "is_reached"),
    [
        ("2x", 1.0, 2.0, True),
        ("2x", 1.0, 1.9, False),
        ("2x peer", 1.0, 1.9, False),
        ("at most 1.5x peer", 1.5, 1.0, True),
        ("at most 1.5x peer", 1.6, 1.0, False),
        ("at most 2x echo", 2.0, 100.0, True),
        ("at most 2x echo", 2.1, 100.0, False),
        ("over 200 MB/s", 201.0, 1.0, True),
        ("over 200 MB/s", 200.0, 1.0, False),
        ("under 5 ms", 4.9, 1.0, True),
        ("under 5 ms", 5.0, 100.0, False),
        ("5x, under 10 ms", 9.0, 100.0, True),
        ("5x, under 10 ms", 11.0, 100.0, False),
        ("5x, under 10 ms", 9.0, 18.0, False),
        ("", 100.0, 1.0, True),
    ],
)
def test_an_aim_is_reached_or_missed(aim: str, ours: float, peer: float, is_reached: bool):
    assert Figure("suite", "work", "ms", {"ours": ours, "echo": 1.0, "peer": peer}, aim).is_reached is is_reached


@pytest.mark.parametrize("aim", ["fast", "twice", "2x nobody"])
def test_an_aim_that_nobody_can_judge_is_a_mistake(aim: str):
    with pytest.raises((ValueError, KeyError)):
        assert Figure("suite", "work", "ms", {"ours": 1.0, "peer": 2.0}, aim).is_reached


def test_of_throughput_more_is_better():
    row = compare("work", lambda: 30.0, lambda: 10.0, rounds=3, unit="MB/s", aim="2.5x", more_is_better=True)
    assert (row.ratio(), row.is_reached) == (3.0, True)


@pytest.mark.parametrize(("ours", "peer", "is_reached"), [(0.0, 5.0, False), (5.0, 0.0, True)])
def test_a_side_that_did_nothing_is_no_match(ours: float, peer: float, is_reached: bool):
    assert (
        Figure("daily", "right", "", {"ours": ours, "peer": peer}, "1x", more_is_better=True).is_reached is is_reached
    )


def test_of_ours_alone_no_ratio_is_shown(capsys: pytest.CaptureFixture[str]):
    report("title", [Figure("clients", "memory", "MB", {"ours": 30.0}, "under 60 MB")])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["memory", "30", "MB", "under", "60", "MB"]


def test_what_was_missed_is_named(capsys: pytest.CaptureFixture[str]):
    report("title", [Figure("suite", work, "ms", {"ours": ours, "peer": 9.0}, "2x") for work, ours in _WORKS.items()])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith("MISSED")] == ["slow"]


def _slower(then: Figure, now: Figure, then_echo_s: float = 1e-4, now_echo_s: float = 1e-4) -> str:
    return results.compare(results.Run([then], then_echo_s), results.Run([now], now_echo_s))[-1].split()[-1]


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
    run = results.Run([Figure("road", "pass", "µs", {"ours": 400.0, "echo": 50.0}, spread=(390.0, 410.0))], 5e-5)
    run.write(tmp_path / "run.json")
    assert results.Run.read(tmp_path / "run.json") == run
    assert json.loads((tmp_path / "run.json").read_text())["python"]


def test_a_page_says_what_was_missed_and_shows_the_picture_beside_it(tmp_path):
    figures = [Figure("road", work, "ms", {"ours": ours, "peer": 9.0}, "2x") for work, ours in _WORKS.items()]
    (tmp_path / "road.svg").touch()
    page = results.write_page(results.Run(figures, 5e-5), tmp_path).read_text()
    assert "| fast | 1 ms | peer: 9 ms | 9 × | 2 × |\n| slow | 9 ms | peer: 9 ms | 1 × | 2 × **missed** |" in page
    assert "(road.svg)" in page


@pytest.mark.parametrize("content", ["", "[]", '{"figures": []}', '{"figures": [{"x": 1}], "echo_s": 1}'])
def test_a_file_that_holds_no_run_is_refused(tmp_path, content: str):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(SystemExit, match="holds no run of benchmarks"):
        results.Run.read(tmp_path / "run.json")


@pytest.fixture
def spin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spinning, "_SETTLE_S", 0.05)
    monkeypatch.setattr(spinning, "_ALONE_S", 0.01)
    with spinning.counter() as made:
        yield made


def _count(spin: spinning.Spin, until: threading.Event) -> None:
    with open(spin.path, "r+b") as file, mmap.mmap(file.fileno(), 8) as shared, memoryview(shared).cast("Q") as rounds:
        while not until.is_set():
            rounds[0] += 1


def test_code_that_never_spins_is_found_out(spin: spinning.Spin):
    with pytest.raises(spinning.NotSpinning, match="a peer was to spin, and has not begun"):
        spin.wait_for("a peer")


@pytest.mark.parametrize("is_ending", [False, True])
def test_code_that_ends_while_it_is_measured_is_found_out(spin: spinning.Spin, is_ending: bool):
    is_over = threading.Event()
    counting = threading.Thread(target=_count, args=(spin, is_over))
    counting.start()
    expected = pytest.raises(spinning.NotSpinning, match="during 'work'")
    try:
        with expected if is_ending else contextlib.nullcontext(), spin.wait_for("a peer").during("work"):
            if is_ending:
                is_over.set()
                counting.join()
            before, begin = spin.rounds(), time.monotonic()
            wait_until(lambda: spin.rounds() > before + 1000 or (is_ending and time.monotonic() > begin + 0.3))
    finally:
        is_over.set()
        counting.join()


def test_code_that_does_not_run_during_the_calls_is_found_out(spin: spinning.Spin):
    def spin_one() -> None:
        spin.shared[:8] = (spin.rounds() + 1).to_bytes(8, sys.byteorder)

    watch = spinning.Watch(spin, "a peer", rate=1)
    with watch.during("work") as time_call:
        assert [time_call(spin_one) >= 0 for _ in range(10)] == [True] * 10
    with pytest.raises(spinning.NotSpinning, match="ran in 0 of 10 calls"), watch.during("work") as time_call:
        for _ in range(10):
            spin_one()
            time_call(lambda: None)


def test_the_code_of_a_counter_counts(spin: spinning.Spin):
    command = [sys.executable, "-c", f"{spin.code_beside}\nimport sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_until(lambda: spin.rounds() > 1000)
        process.kill()


def test_a_journal_made_for_a_benchmark_is_one_that_a_kernel_has_left(tmp_path: Path):
    growth.fill(tmp_path / "journal.sqlite", 500)
    growth.index(tmp_path / "journal.sqlite", 500)
    journal = Journal(tmp_path / "journal.sqlite", max_memory_bytes=1000, max_unsaved_bytes=1000)
    try:
        restored = journal.restored()
        assert (journal.last, restored.last_execution, restored.unfinished) == (501, 10, ())
        assert [execution for _, execution, *_ in journal.history("needle", 10)] == [7]
        _, events = journal.follow(10, 0, 0.0)
        assert [event[2] for event in events[:2]] == ["queued", "started"]
        assert (len(events), events[-1][2]) == (50, "finished")
    finally:
        journal.close()


def test_a_line_has_arrived_when_its_end_is_there_whatever_colours_it_and_once():
    chunks = [
        (1.0, b"\x1b[1mtime.perf_counter()\x1b[0m\r\n<12."),
        (2.0, b"\x1b[32m5\x1b[0m>\r\n"),
        (3.0, b"<12.5> <13.0>"),
    ]
    assert faces.find_arrivals(chunks) == {12.5: 2.0, 13.0: 3.0}
    assert faces.plain_of(b"\x1b[?25l\x1b]0;title\x07z\x1b(B") == b"z"


def test_costs_that_are_no_straight_line_are_found_out():
    counts = list(range(10, 101, 10))
    slope, offset, residue = groups.fit(counts, [7.0 + 2.0 * count for count in counts])
    assert (slope, offset, residue) == pytest.approx((2.0, 7.0, 0.0))
    assert groups.fit(counts, [count**2 for count in counts])[-1] > 10
    assert groups.fit([5], [10.0]) == (2.0, 0.0, 0.0)


def test_the_prototype_of_a_gateway_lists_relays_tells_and_records_what_simulated_hubs_do(tmp_path: Path):
    unit = many_kernels.Unit(100, 200, [[1, 0.0, "finished", 1, "alice", "{}"]])
    with many_kernels.running(tmp_path / "journal.sqlite", unit, 0) as (gateway, hubs):
        assert hubs.ask(connect=20)["connected"] == 20
        wait_until(lambda: gateway.stats()["hubs"] == 20)
        entries, _, watcher = gateway.talk({"watch": 1})
        with watcher:
            assert {entry["hub"] for entry in entries} == {f"train-{number}" for number in range(20)}
            hubs.ask(clients=2)
            done = hubs.ask(rate=100, seconds=0.2)
            assert done["sent"] == len(done["delays"]) > 0
            wait_until(lambda: gateway.stats()["counts"]["events"] == done["sent"])
            assert gateway.stats()["counts"]["told"] == 2 * done["sent"]
    with contextlib.closing(Store(tmp_path / "journal.sqlite")) as store:
        assert store.count() == done["sent"]
