"""Many kernels as one: what is said to all of them, and what comes back."""

import asyncio
import concurrent.futures
import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import rpyc_kernel
from rpyc_kernel import BadName, Group, GroupExecution, GroupFailed, NoSuchKernel, RequestError
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until

NAMES = ("crew-0", "crew-1", "crew-2", "crew-3")


def test_they_are_called_by_their_names_and_chosen_by_name_index_and_slice(crew: Group) -> None:
    assert crew.names == NAMES
    assert crew[1].names == ("crew-1",)
    assert crew[-2:].names == NAMES[-2:]
    assert crew.select(["crew-3", "crew-0"]).names == ("crew-3", "crew-0")
    assert crew.select("crew-3").names == ("crew-3",)
    assert [kernel.name for kernel in crew] == list(NAMES)
    with pytest.raises(IndexError, match="there is no kernel 9"):
        crew[9]
    with pytest.raises(RequestError, match="no kernel 'crew-9' in this group"):
        crew.select(["crew-9"])


def test_a_part_of_a_group_goes_with_it_and_closes_nothing_by_itself(crew_kernels: None) -> None:
    group = rpyc_kernel.group("crew-{0,1}")
    assert group[0].execute("1").results == {"crew-0": 1}
    group.close()
    with pytest.raises(GroupFailed, match="ConnectionLost"):
        group[0].execute("1")


def test_code_runs_in_all_and_each_says_what_came_of_it(crew: Group) -> None:
    crew.scatter("number", [1, 2, 3, 4])
    crew.scatter("flat", [1, 2, 3, 4], flatten=True)
    assert crew["flat"] == [1, 2, 3, 4]
    run = crew.execute("print(number[0]); number[0] * 10")
    assert run.results == dict(zip(NAMES, (10, 20, 30, 40), strict=True))
    assert run.result() == [10, 20, 30, 40]
    assert list(run.stdout.values()) == ["1\n", "2\n", "3\n", "4\n"]
    assert set(run.statuses.values()) == {"ok"}
    assert run.executions["crew-2"].value == 30
    assert (run.pending, run.errors, run.retried) == ([], {}, {})


def test_those_that_fail_are_told_and_the_others_have_done_it(crew: Group) -> None:
    crew.scatter("number", [0, 1, 0, 2])
    with pytest.raises(GroupFailed) as failed:
        crew.execute("done = True; 4 // number[0]")
    assert failed.value.results == {"crew-1": 4, "crew-3": 2}
    assert {name: error.ename for name, error in failed.value.errors.items()} == dict.fromkeys(
        ("crew-0", "crew-2"), "ZeroDivisionError"
    )
    assert str(failed.value).splitlines()[0] == "2 of 4 kernels failed at 'done = True; 4 // number[0]':"
    assert "crew-0 crew-2: ZeroDivisionError" in str(failed.value)
    assert crew["done"] == [True] * 4


def test_a_future_of_all_ends_when_the_last_one_does(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event(); late = False")
    crew[3].execute("late = True")
    job = crew.submit("gate.wait(60) if late else 1")
    assert job.wait(PATIENCE_S, concurrent.futures.FIRST_COMPLETED)
    assert not job.wait(0)
    assert not job.done()
    with pytest.raises(TimeoutError, match="crew-3"):
        job.result(0)
    ended = job.as_completed(PATIENCE_S)
    assert {next(ended)[0] for _ in range(3)} == set(NAMES[:3])
    assert job.pending == ["crew-3"]
    crew[3].eval("gate.set()")
    assert next(ended)[0] == "crew-3"
    assert job.result(PATIENCE_S) == [1, 1, 1, True]


def test_the_first_that_fails_is_enough_where_that_is_asked_for(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event(); fails = False")
    crew[1].execute("fails = True")
    job = crew.submit("1 / 0 if fails else gate.wait(60)")
    assert job.wait(PATIENCE_S, concurrent.futures.FIRST_EXCEPTION)
    assert list(job.errors) == ["crew-1"]
    crew.eval("gate.set()")
    assert list(job.exception(PATIENCE_S).results) == ["crew-0", "crew-2", "crew-3"]
    with pytest.raises(RequestError, match="no return_when 'SOON'"):
        job.wait(0, "SOON")


def test_it_is_a_future_for_all_who_wait_for_futures(crew: Group) -> None:
    ok, bad = crew.submit("6 * 7"), crew.submit("1 / 0", stop_on_error=False)
    assert concurrent.futures.wait([ok, bad], PATIENCE_S).not_done == set()
    called: concurrent.futures.Future[list[int]] = concurrent.futures.Future()
    crew.submit("7").add_done_callback(lambda job: called.set_result(job.result()))
    assert called.result(PATIENCE_S) == [7] * 4

    async def wait() -> list[int]:
        with pytest.raises(GroupFailed):
            await crew.submit("1 / 0", stop_on_error=False)
        return await crew.submit("8")

    assert asyncio.run(wait()) == [8] * 4


def test_threads_that_wait_for_the_same_are_all_told_at_once(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event()")
    job = crew.submit("gate.wait(60)")
    told: list[list[bool]] = []
    threads = [threading.Thread(target=lambda: told.append(job.result(PATIENCE_S))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert not job.wait(0)
    crew.eval("gate.set()")
    for thread in threads:
        thread.join(PATIENCE_S)
    assert told == [[True] * 4] * 4


def test_a_function_brings_what_it_refers_to_and_finds_the_rest_there(crew: Group) -> None:
    crew.scatter("there", [[1], [2], [3], [4]])
    crew.execute("there = there[0][0]")
    here = 100

    def add(number: int, *, more: int = 0) -> int:
        return number + here + there + more  # type: ignore[name-defined] # noqa: F821

    assert crew.apply(add, 10, more=1000) == [1111, 1112, 1113, 1114]
    crew["there"] = 5
    assert crew.apply(add, 0) == [105] * 4
    assert len(set(crew.apply(os.getpid))) == 4
    crew.push(kept=add)
    assert crew.eval("kept(1)") == [106] * 4


def test_a_function_whose_source_is_sent_lives_in_the_namespace(crew: Group) -> None:
    def count_up(step):  # type: ignore[no-untyped-def]
        global total
        total = start + step  # type: ignore[name-defined] # noqa: F821
        return total

    crew.push(start=5)
    assert crew.apply(count_up, 2, by_source=True) == [7] * 4
    assert crew["total"] == [7] * 4
    with pytest.raises(RequestError, match="defined by 'def'"):
        crew.apply(lambda: 1, by_source=True)


def test_what_a_function_raises_is_that_kernels_error(crew: Group) -> None:
    def fail(number: int) -> int:
        raise ValueError(f"not {number}")

    with pytest.raises(GroupFailed, match="ValueError: not 3") as failed:
        crew.apply(fail, 3)
    assert set(failed.value.errors) == set(NAMES)


def test_a_map_keeps_the_order_and_takes_each_item_once(crew: Group) -> None:
    assert crew.map(lambda number: number**2, range(10)) == [number**2 for number in range(10)]
    assert crew.map(divmod, [7, 8, 9], [2, 2, 2]) == [(3, 1), (4, 0), (4, 1)]
    assert crew.map(str, []) == []
    assert crew.map_async(str, [1, 2]).result(PATIENCE_S) == ["1", "2"]
    assert crew.map(lambda text: [len(text)], ["x" * 20_000, "y"]) == [[20_000], [1]]  # the first is no small call


def test_results_that_are_arrays_are_copies(crew: Group) -> None:
    found = crew.apply(lambda: {"weights": numpy.arange(3.0)})
    assert [type(each["weights"]) for each in found] == [numpy.ndarray] * 4


def test_results_of_calls_can_be_read_after_many_more_were_handed_in(crew: Group) -> None:
    jobs = [crew.apply_async(lambda number: [number], number) for number in range(40)]
    assert [job.result(PATIENCE_S) for job in jobs] == [[[number]] * 4 for number in range(40)]


def test_values_go_to_all_and_come_from_all(crew: Group) -> None:
    crew.push({"a": numpy.arange(3)}, b="text")
    assert [pair[0].tolist() for pair in crew.pull(["a", "b"])] == [[0, 1, 2]] * 4
    crew["c"] = 5
    assert crew["c * 2"] == [10] * 4
    crew[0].execute("only = 1")
    with pytest.raises(GroupFailed, match="3 of 4 kernels failed"):
        crew.pull("only")
    with pytest.raises(RequestError, match="name"):
        crew.push({"no name": 1})


def test_large_values_are_in_memory_once_and_each_kernel_has_its_own(crew: Group) -> None:
    crew.push(large=numpy.zeros(4 * 2**20))
    crew[1].execute("large[0] = 1.0")
    assert crew.eval("float(large.sum())") == [0.0, 1.0, 0.0, 0.0]
    # Pages that several processes have count for each only by its part.
    sizes = crew.eval("sum(int(line.split()[1]) for line in open('/proc/self/smaps') if line.startswith('Rss')) * 1024")
    shares = crew.eval("sum(int(l.split()[1]) for l in open('/proc/self/smaps_rollup') if l.startswith('Pss:')) * 1024")
    assert sum(sizes) - sum(shares) > 2.9 * 32 * 2**20


def test_arrays_are_divided_and_put_together_along_an_axis(crew: Group) -> None:
    whole = numpy.arange(30).reshape(3, 10)
    crew.scatter("part", whole, axis=1)
    assert crew.eval("part.shape") == [(3, 3), (3, 3), (3, 2), (3, 2)]
    crew.execute("part = part * 2")
    assert (crew.gather("part", axis=1) == whole * 2).all()


def test_the_namespaces_read_as_one(crew: Group) -> None:
    crew.namespace["flag"] = 3
    assert crew.namespace.flag == [3] * 4
    assert "flag" in crew.namespace
    del crew.namespace["flag"]
    with pytest.raises(KeyError):
        crew.namespace["flag"]
    with pytest.raises(AttributeError, match="no kernel's namespace has 'flag'"):
        crew.namespace.flag  # noqa: B018
    crew.namespace.flag = 1
    assert "flag" in list(crew.namespace)


def test_events_of_all_come_as_one_stream_with_who_said_it(crew: Group) -> None:
    told = list(crew.submit("print('hello')").events(timeout=PATIENCE_S))
    for name in NAMES:
        assert [event.kind for who, event in told if who == name and event.kind != "stream"] == [
            "queued",
            "started",
            "finished",
        ]
        assert "".join(event.text for who, event in told if who == name and event.kind == "stream") == "hello\n"
    past = list(crew.events(since=0, follow=False))
    assert {name for name, _ in past} == set(NAMES)
    assert [event.time for _, event in past] == sorted(event.time for _, event in past)


def test_what_runs_is_interrupted_and_what_waits_is_taken_out(crew: Group) -> None:
    running = crew.submit("import time\nwhile True: time.sleep(0.01)")
    waiting = crew.submit("never = 1")
    until_started(running)
    assert waiting.cancel()
    assert waiting.cancelled()
    assert all(running.interrupt(wait=PATIENCE_S).values())
    assert {type(error).__name__ for error in running.errors.values()} == {"ExecutionInterrupted"}
    assert {found.status for found in crew.interrupt().values()} == {"not-running"}


def until_started(job: GroupExecution) -> None:
    """Wait until all have begun."""
    started = (name for name, event in job.events(timeout=PATIENCE_S) if event.kind == "started")
    assert {next(started) for _ in NAMES} == set(NAMES)


def test_a_group_waits_for_what_it_has_handed_in(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event()")
    job = crew.submit("gate.wait(60)")
    assert not crew.wait(timeout=0)
    crew.eval("gate.set()")
    assert crew.wait(timeout=PATIENCE_S)
    assert job.done()


def test_an_error_of_the_code_is_not_tried_again(crew: Group) -> None:
    crew.execute("tries = 0")
    job = crew.submit("tries += 1; 1 / 0", retry=3, stop_on_error=False)
    assert set(job.exception(PATIENCE_S).errors) == set(NAMES)
    assert (job.retried, crew["tries"]) == ({}, [1] * 4)


def test_what_goes_on_says_how_far_it_is(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event()")
    job = crew.submit("print('begun', flush=True); display('shown'); gate.wait(60)")
    until_started(job)
    assert job.running()
    assert set(job.statuses.values()) == {"running"}
    wait_until(lambda: set(job.stdout.values()) == {"begun\n"}, PATIENCE_S, "what was printed")
    wait_until(lambda: [len(shown) for shown in job.outputs.values()] == [1] * 4, PATIENCE_S, "what was shown")
    crew.eval("gate.set()")
    wait_until(lambda: repr(job).endswith("4 of 4 ended, 0 failed>"), PATIENCE_S, "the end")
    assert not job.running()


def test_what_is_handed_in_runs_in_that_order_in_each_kernel(crew: Group) -> None:
    crew.execute("order = []")
    jobs = []
    for number in range(5):
        note = lambda number=number: order.append(number)  # type: ignore[name-defined] # noqa: E731, F821
        jobs += [crew.apply_async(note), crew.submit(f"order.append({number})")]
    assert crew.wait(jobs, PATIENCE_S)
    assert crew["order"] == [[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]] * 4


def test_what_was_handed_in_just_now_can_be_interrupted_and_taken_out(crew: Group) -> None:
    crew.execute("import time")
    running, waiting, called = crew.submit("time.sleep(60)"), crew.submit("1"), crew.apply_async(len, [])
    assert (waiting.cancel(), called.cancel()) == (True, True)
    assert waiting.cancel(), "as of futures: it is cancelled"
    until_started(running)
    assert all(running.interrupt(wait=PATIENCE_S).values())
    assert running.wait(PATIENCE_S)
    assert running.interrupt() == {}, "none of it goes on"
    again = crew.submit("time.sleep(60)")
    assert set(again.interrupt()) == set(NAMES)
    until_started(again)
    crew.interrupt(wait=PATIENCE_S)


@pytest.mark.parametrize(
    "begin",
    [
        lambda crew: crew.apply_async(time.sleep, 600),
        lambda crew: crew.map_async(time.sleep, [600] * 4),
        lambda crew: crew.apply_async(max, [600], key=time.sleep, default="large" * 5000),
    ],
    ids=["call", "map", "large call"],
)
def test_a_call_of_a_function_of_c_is_interrupted(crew: Group, begin: Callable[[Group], GroupExecution]) -> None:
    running = begin(crew)
    until_started(running)
    assert all(running.interrupt(wait=PATIENCE_S).values())
    assert {type(error).__name__ for error in running.errors.values()} == {"ExecutionInterrupted"}


def test_a_group_waits_for_what_nobody_holds(crew: Group) -> None:
    crew.execute("import threading; gate = threading.Event()")
    crew.submit("gate.wait(60)")
    crew.status()  # so that its number was told
    gc.collect()
    assert not crew.wait(timeout=0)
    crew.eval("gate.set()")
    assert crew.wait(timeout=PATIENCE_S)
    for wrong in (5, [5], crew):
        with pytest.raises(RequestError, match="what its submit"):
            crew.wait(wrong)  # type: ignore[arg-type]


def test_events_from_now_on_begin_when_they_are_asked_for(crew: Group) -> None:
    events = crew.events(timeout=PATIENCE_S)
    crew.execute("1")
    assert {next(events)[1].kind for _ in NAMES} >= {"queued"}


def test_events_of_a_kernel_keep_their_order_whatever_its_clock_did(crew: Group) -> None:
    crew.execute("1")
    past = list(crew.events(since=0, follow=False))
    for name in NAMES:
        numbers = [event.seq for who, event in past if who == name]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda crew: crew.execute(5), "code must be str"),
        (lambda crew: crew.submit("1", retry="2"), "retry must be int"),
        (lambda crew: crew.submit("1", retry=-1), "cannot be -1"),
        (lambda crew: crew.submit("1").result("soon"), "timeout must be a number of seconds"),
        (lambda crew: crew.submit("1").wait(float("nan")), "timeout must be a number of seconds"),
        (lambda crew: crew.pull([1]), "names must be str or a list of str"),
        (lambda crew: crew.push([1]), "values must be a dict by name"),
        (lambda crew: crew.eval(5), "expression must be str"),
        (lambda crew: crew.apply("len"), "has to be callable"),
        (lambda crew: crew.select([]).map(len, [1]), "a group without kernels"),
    ],
)
def test_what_is_wrong_is_told_the_caller_before_a_kernel_sees_it(crew: Group, call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RequestError, match=message):
        call(crew)


def test_what_an_expression_raises_is_told_in_one_line(crew: Group) -> None:
    with pytest.raises(GroupFailed) as failed:
        crew.eval("1 / 0")
    assert str(failed.value).splitlines()[1:] == ["  crew-{0..3}: ZeroDivisionError: division by zero"]


def test_a_group_of_nobody_does_nothing(crew: Group) -> None:
    nobody = crew.select([])
    assert nobody.execute("1").result() == nobody.apply(len, []) == list(nobody.namespace) == []


def test_a_source_may_call_itself_and_be_annotated_with_what_the_kernels_do_not_know(crew: Group) -> None:
    def lines() -> GroupFailed:
        return """a
  b"""  # type: ignore[return-value]

    assert crew.apply(_factorial, 5, by_source=True) == [120] * 4
    assert crew.apply(lines, by_source=True) == ["a\n  b"] * 4


def _factorial(number: GroupFailed) -> GroupFailed:
    return 1 if number < 2 else number * _factorial(number - 1)  # type: ignore


def test_who_cannot_be_reached_is_refused_or_left_out(crew_kernels: None) -> None:
    with pytest.raises(GroupFailed, match="crew-9: NoSuchKernel") as failed:
        rpyc_kernel.group("crew-{0,9}")
    assert list(failed.value.errors) == ["crew-9"]
    with rpyc_kernel.group("crew-{0,9}", missing="skip") as group:
        assert group.names == ("crew-0",)
        assert list(group.missing) == ["crew-9"]
    with pytest.raises(NoSuchKernel, match="no kernel that runs on this machine has a name like 'nobody-"):
        rpyc_kernel.group("nobody-*")
    with pytest.raises(GroupFailed, match=BadName.__name__):
        rpyc_kernel.group("no name")
    with pytest.raises(RequestError, match="pass start=True"):
        rpyc_kernel.group("crew-0", engine="plain")
    with pytest.raises(RequestError, match="'refuse' or 'skip'"):
        rpyc_kernel.group("crew-0", missing="maybe")


@pytest.mark.parametrize("targets", [[], 5, [5], ()])
def test_a_group_of_nobody_is_refused(targets: Any) -> None:
    with pytest.raises(RequestError, match=r"at least one kernel|named by text"):
        rpyc_kernel.group(targets)


def test_errors_are_the_same_whatever_the_numbers_of_inputs(crew: Group) -> None:
    crew[0].execute("1")
    with pytest.raises(GroupFailed) as failed:
        crew.execute("x y")
    assert len(str(failed.value).splitlines()) == 2
    assert "crew-{0..3}: SyntaxError: invalid syntax" in str(failed.value)


def test_clients_that_it_was_made_of_stay_open(crew_kernels: None) -> None:
    with rpyc_kernel.connect("crew-0") as client:
        with rpyc_kernel.group([client, "crew-1"]) as group:
            assert group.execute("1").results == {"crew-0": 1, "crew-1": 1}
        assert client.execute("2").value == 2


def test_a_pattern_of_names_finds_those_that_run(crew_kernels: None) -> None:
    with rpyc_kernel.group("crew-*") as group:
        assert group.names == NAMES
