"""Clients in event loops: what tasks of asyncio and of trio ask of a kernel, at once and after one another."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import anyio
import pytest

import rpyc_kernel
from rpyc_kernel import aio
from rpyc_kernel.errors import (
    CallTimeout,
    ConnectionLost,
    ExecutionDropped,
    ExecutionError,
    ExecutionInterrupted,
    KernelDied,
    KernelError,
    NotAvailable,
    NotPermitted,
    RequestError,
    WorkerBusy,
)
from tests.end_to_end.clients import PATIENCE_S
from tests.support.processes import suspend, suspended
from tests.support.waiting import wait_until_async

pytestmark = [pytest.mark.anyio, pytest.mark.shares_kernel]


@pytest.fixture(autouse=True)
def trio_ends_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trio keep the threads of calls no longer than the test."""
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 0.01)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The loops."""
    return str(request.param)


def connect(**options: Any) -> Any:
    """A client of the test's kernel."""
    return aio.connect("demo", **{"timeout": PATIENCE_S, **options})


async def see(client: aio.KernelClient, kind: str, execution: aio.Execution) -> None:
    """Wait for an event of an execution."""
    async for event in client.events(execution=execution.id):
        if event.kind == kind:
            return


async def gather(function: Callable[..., Any], arguments: Any) -> list[Any]:
    """What comes of a function that is called with each at once, errors among it, in order."""
    found: dict[int, Any] = {}

    async def call(number: int, argument: Any) -> None:
        try:
            found[number] = await function(argument)
        except KernelError as error:
            found[number] = error

    async with anyio.create_task_group() as group:
        for number, argument in enumerate(arguments):
            group.start_soon(call, number, argument)
    return [found[number] for number in sorted(found)]


async def test_a_client_can_be_awaited_and_entered(demo: None) -> None:
    async with connect(name="ann") as client:
        assert (client.name, client.client_name, client.is_connected) == ("demo", "ann", True)
    assert client.is_closed
    async with await connect(session=client.session) as same:
        assert same.session == client.session
        assert "connected" in repr(same)


async def test_code_is_run_and_what_came_of_it_is_there_without_asking(demo: None) -> None:
    async with connect() as client:
        run = await client.execute("print('out'); import sys; print('err', file=sys.stderr); 6 * 7", timeout=PATIENCE_S)
        assert (run.value, run.status, run.stdout, run.stderr) == (42, "ok", "out\n", "err\n")
        assert [output.kind for output in run.outputs] == ["result"]
        assert run.done()
        assert run.duration_s is not None
        job = await client.submit("(1, 2)")
        assert (await job, await job.result(PATIENCE_S)) == ((1, 2), (1, 2))  # again and again
        with pytest.raises(ExecutionError) as raised:
            await client.execute("1 / 0")
        assert raised.value.ename == "ZeroDivisionError"
        assert [event.kind async for event in job.events()] == ["queued", "started", "result", "finished"]
        again = await client.execution(job.id)
        assert again.value == (1, 2)


async def test_a_live_value_is_had_by_awaiting_the_execution(demo: None) -> None:
    async with connect() as client:
        run = await client.execute("class Thing:\n    size = 3\nThing()")
        with pytest.raises(RequestError, match="await the execution"):
            _ = run.value
        thing = await run
        assert await anyio.to_thread.run_sync(lambda: thing.size) == 3


async def test_what_is_more_than_is_kept_is_read_from_the_events(demo: None) -> None:
    async with connect(keep_output=1000) as client:
        run = await client.execute("print('x' * 5000)")
        with pytest.raises(NotAvailable, match="keep_output"):
            _ = run.stdout
        assert sum([len(event.text) async for event in run.events() if event.kind == "stream"]) == 5001


async def test_a_thousand_calls_at_once_are_all_answered(demo: None) -> None:
    async with connect() as client:
        found = await gather(lambda number: client.is_queued(number), range(1000))
        assert found == [False] * 1000
        states = await gather(lambda _: client.is_complete("1", timeout=PATIENCE_S), range(1000))
        assert {getattr(state, "status", state) for state in states} == {"complete"}
        runs = await gather(lambda number: client.submit(f"{number} * 2"), range(100))
        assert await gather(lambda run: run.result(PATIENCE_S), runs) == [number * 2 for number in range(100)]


async def test_time_limits_hold_for_those_who_wait_for_a_turn_with_the_worker(demo: None) -> None:
    async with connect() as client:
        worker = (await client.status())["worker_pid"]
        with suspended(worker), anyio.fail_after(PATIENCE_S):
            found = await gather(lambda _: client.is_complete("1", timeout=0.5), range(200))
        assert {type(error) for error in found} == {WorkerBusy}
        assert (await client.execute("1", timeout=PATIENCE_S)).value == 1


async def test_calls_start_no_threads(demo: None) -> None:
    async with connect() as client:
        before = threading.active_count()
        await gather(lambda number: client.execute(f"{number}"), range(20))
        assert threading.active_count() <= before


async def test_who_is_cancelled_leaves_the_execution_running_and_the_connection_usable(demo: None) -> None:
    async with connect() as client:
        with anyio.move_on_after(0.2) as scope:
            await client.execute("answer = input('? ')")
        assert scope.cancelled_caught

        async def ask_for_prompts() -> Any:
            return (await client.status())["prompts"]

        prompts = await wait_until_async(ask_for_prompts, PATIENCE_S, "a prompt")
        with pytest.raises(TimeoutError):
            await (await client.execution(prompts[0]["execution"])).result(0.1)
        await client.answer_input("yes", prompts[0]["execution"])
        assert (await client.execute("answer")).value == "yes"


async def test_who_reads_for_others_and_is_cancelled_has_the_next_one_read(demo: None) -> None:
    async with connect() as client:
        asking = await client.submit("input()")
        heard: list[Any] = []

        async def wait() -> None:
            heard.append(await asking)

        async with anyio.create_task_group() as group:
            scopes = [anyio.CancelScope() for _ in range(5)]

            async def wait_in(scope: anyio.CancelScope) -> None:
                with scope:
                    await wait()

            for scope in scopes:
                group.start_soon(wait_in, scope)
            await see(client, "input_requested", asking)
            for scope in scopes[:4]:  # the first of them reads, and then the next
                scope.cancel()
                await anyio.sleep(0)
            await client.answer_input("done")
        assert heard == ["done"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_timeouts_of_asyncio_leave_the_connection_usable(demo: None, anyio_backend: str) -> None:
    async with connect() as client:
        asking = await client.submit("input()")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asking.result(), 0.1)
        first, *others = [asyncio.create_task(asking.result()) for _ in range(3)]
        await see(client, "input_requested", asking)
        first.cancel()
        await client.answer_input("here")
        assert await asyncio.gather(*others) == ["here", "here"]
        assert first.cancelled()


async def test_time_that_is_over_is_told_and_nothing_is_interrupted(demo: None) -> None:
    async with connect() as client:
        with pytest.raises(TimeoutError, match="it goes on"):
            await client.execute("asked = input()", timeout=0.1)
        await client.answer_input("later")
        assert (await client.execute("asked")).value == "later"


async def test_events_come_as_they_happen_and_from_where_one_left_off(demo: None) -> None:
    async with connect() as client:
        last = (await client.status())["last"]
        seen: list[str] = []

        async def follow() -> None:
            async for event in client.events(since=last):
                seen.append(event.kind)
                if event.kind == "finished":
                    break

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            group.start_soon(follow)
            await client.execute("1")
        assert sorted(seen) == sorted(["queued", "started", "result", "finished"] * 2)
        kinds = [event.kind async for event in client.events(since=last, follow=False)]
        assert kinds == ["queued", "started", "result", "finished"]
        async with aclosing(client.events(None)) as events:
            assert (await anext(events)).seq == 1
        await client.acknowledge(last + 2)
        async with connect(session=client.session) as same:
            assert same.last_seen == last + 2


async def test_who_is_cancelled_while_events_come_loses_none(demo: None) -> None:
    async with connect() as client:
        last = (await client.status())["last"]
        events = client.events(since=last)
        numbers: list[int] = []
        run = await client.submit("import time\nfor i in range(30): print(i, flush=True); time.sleep(0.002)")
        end = 0
        while not end:
            with anyio.move_on_after(0.003):
                event = await anext(events)
                numbers.append(event.seq)
                end = event.seq if event.kind == "finished" else 0
        assert numbers == list(range(last + 1, end + 1))
        assert [event.seq async for event in client.events(since=last, execution=run.id)] == numbers


async def test_events_are_for_one_task_at_a_time(demo: None) -> None:
    async with connect() as client:
        events = client.events(since=(await client.status())["last"])

        async def take(_: int) -> Any:
            return (await anext(events)).kind

        async with anyio.create_task_group() as group:
            found: list[Any] = []

            async def take_both() -> None:
                found.extend(await gather(take, range(2)))

            group.start_soon(take_both)
            await anyio.wait_all_tasks_blocked()
            await client.execute("1")
        assert "queued" in found
        assert sum("give each task events of its own" in str(each) for each in found) == 1


async def test_looking_answers_while_code_runs_and_tells_types(demo: None) -> None:
    async with connect() as client:
        asking = await client.submit("numbers = [3, 1, 2]; input()")
        await see(client, "input_requested", asking)
        assert [each.text for each in (await client.complete("numbers.appe")).items] == ["append"]
        assert (await client.inspect("numbers")).type == "list"
        assert [each.name for each in await client.variables()] == ["numbers"]
        assert (await client.slice("numbers", sort=[("value", "descending")])).rows == (("3",), ("2",), ("1",))
        waiting = await client.submit("pass")
        assert [each["execution"] for each in await client.queue()] == [waiting.id]
        assert await waiting.cancel()
        with pytest.raises(ExecutionDropped):
            await waiting
        assert waiting.cancelled()
        assert await asking.interrupt(wait=PATIENCE_S)
        with pytest.raises(ExecutionInterrupted):
            await asking
        assert (await client.interrupt()).status == "not-running"
        assert (await client.history("numbers = "))[-1].execution == asking.id
        assert "most recent call first" in await client.stack(timeout=30)


async def test_live_objects_and_copies_are_had_without_holding_the_loop(demo: None) -> None:
    async with connect() as client:
        told: list[int] = []
        await client.push(data=b"1" * 10_000_000, progress=lambda *_: told.append(threading.get_ident()))
        assert len(await client.pull("data")) == 10_000_000
        assert set(told) == {threading.get_ident()}
        assert await client.eval("len(data)") == 10_000_000
        function = await client.eval("divmod")
        assert await client.call(function, 17, 5) == (3, 2)
        assert await client.call_beside(function, 17, 5) == (3, 2)
        sleep = await client.eval("__import__('threading').Event().wait")
        with anyio.move_on_after(0.1):
            await client.call_beside(sleep, 1)
        assert await gather(client.eval, ["1", "2", "3"]) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            await client.eval("1 / 0")


async def test_lazy_chains_are_awaited(demo: None) -> None:
    async with connect() as client:
        numbers = client.lazy.list(client.lazy.range(10))
        assert await (numbers[2:5].index(3) + 1) == 2
        assert await numbers[2].get(timeout=PATIENCE_S) == 2
        assert await numbers[2:5].pull() == [2, 3, 4]
        netref = await client.lazy.str(1).zfill(5).netref()
        assert await anyio.to_thread.run_sync(netref.upper) == "00001"
        with pytest.raises(KernelError, match="no_such_name"):
            await client.lazy.no_such_name.more


async def test_a_viewer_is_refused_what_viewers_may_not(demo: None) -> None:
    async with connect(role="viewer") as client:
        with pytest.raises(NotPermitted, match="cannot execute code"):
            await client.execute("1")
        assert (await client.status())["kernel"] == "demo"
        with pytest.raises(RequestError, match="must be str"):
            await client.complete(1)  # type: ignore[arg-type]


async def test_another_loop_is_refused_clearly(demo: None, anyio_backend: str) -> None:
    async with connect() as client:
        heard: list[Exception] = []

        def use_elsewhere(backend: str) -> None:
            async def ask() -> None:
                try:
                    await client.status()
                except RequestError as error:
                    heard.append(error)
                try:
                    await client.eval("1")
                except RequestError as error:
                    heard.append(error)

            anyio.run(ask, backend=backend)

        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(use_elsewhere, backend)
        assert len(heard) == 4
        assert "belongs to the event loop in which it was connected" in str(heard[0])
        assert (await client.execute("1")).value == 1


async def test_who_waits_when_the_client_is_closed_hears_of_it(demo: None) -> None:
    async with connect() as client, connect() as other:
        asking = await client.submit("input()")
        await see(client, "input_requested", asking)
        heard: list[Any] = []

        async def wait() -> None:
            heard.extend(await gather(lambda _: asking.result(), range(10)))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await client.close()
        assert [type(error) for error in heard] == [ConnectionLost] * 10
        with pytest.raises(ConnectionLost):
            await client.status()
        assert await other.interrupt(wait=PATIENCE_S)


async def test_a_connection_that_could_not_be_is_told_as_elsewhere(demo: None) -> None:
    with pytest.raises(rpyc_kernel.NoSuchKernel):
        await aio.connect("nothing")
    with pytest.raises(rpyc_kernel.NoSuchKernel):
        async with aio.connect("nothing"):
            pass
    assert [found.name for found in await aio.kernels()] == ["demo"]


async def test_a_hub_that_takes_nothing_holds_no_loop(demo: None) -> None:
    async with connect(timeout=0.5) as client, connect() as other:
        hub = (await other.status())["hub_pid"]
        with suspended(hub):
            turns = 0

            async def turn() -> None:
                nonlocal turns
                while True:
                    await anyio.sleep(0.01)
                    turns += 1

            async with anyio.create_task_group() as group:
                group.start_soon(turn)
                errors = await gather(lambda _: client.submit("#" * 3_000_000), range(3))
                group.cancel_scope.cancel()
        assert [type(error) for error in errors] == [CallTimeout] * 3
        assert turns > 5
        assert (await other.execute("1", timeout=PATIENCE_S)).value == 1


@pytest.mark.own_kernel
async def test_each_of_many_that_wait_hears_of_a_worker_that_died_and_of_the_next_one(demo: None) -> None:
    async with connect() as client:
        asking = await client.submit("input()")
        await see(client, "input_requested", asking)
        heard: list[Any] = []

        async def wait() -> None:
            heard.extend(await gather(lambda _: asking.result(), range(100)))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            os.kill((await client.status())["worker_pid"], signal.SIGKILL)
        assert [type(error) for error in heard] == [KernelDied] * 100
        assert await client.restart(timeout=PATIENCE_S) > 1
        await client.shutdown(timeout=PATIENCE_S)
        assert client.is_closed


@pytest.mark.own_kernel
async def test_a_client_comes_back_by_itself_when_the_hub_was_lost(demo: None) -> None:
    said: list[tuple[str, int]] = []
    async with connect(on_loss=lambda text: said.append((text, threading.get_ident()))) as client:
        asking = await client.submit("asked = []; answer = input()")
        await see(client, "input_requested", asking)
        heard: list[Any] = []

        async def wait() -> None:
            heard.extend(await gather(lambda _: asking.result(), range(3)))

        is_there = anyio.Event()

        async def wait_in_vain() -> None:
            async with connect(reconnect=0.2) as impatient:
                is_there.set()
                heard.extend(await gather(lambda _: impatient.execute("1"), range(10)))

        async def ask_once() -> None:
            heard.extend(await gather(client.cancel, [asking.id]))

        async def submit() -> None:
            heard.append(await (await client.submit("asked.append(1); len(asked)")))

        hub = (await client.status())["hub_pid"]
        async with anyio.create_task_group() as group:
            for each in (wait, wait_in_vain):
                group.start_soon(each)
            await is_there.wait()
            await anyio.wait_all_tasks_blocked()
            suspend(hub)
            for each in (ask_once, submit):
                group.start_soon(each)
            await anyio.wait_all_tasks_blocked()  # both are sent, and will not be answered
            os.kill(hub, signal.SIGKILL)
            await wait_until_async(lambda: len(heard) >= 11, PATIENCE_S, "what all eleven hear")
            assert [type(error) for error in heard] == [ConnectionLost] * 11
            assert sum("it may have been done" in str(error) for error in heard) == 1
            heard.clear()
            async with aio.start("demo", timeout=PATIENCE_S) as second:
                assert second.session != client.session
            await client.answer_input("still here", asking.id)  # waits until it is back
        assert sorted(heard, key=repr) == [1, None, None, None]  # of tasks, none need be told before another
        assert (await client.execute("answer")).value == "still here"
        assert {thread for _, thread in said} == {threading.get_ident()}
        assert said[-1][0] == ""
        await client.shutdown(timeout=PATIENCE_S)


async def test_a_hub_that_is_silent_is_given_up(demo: None) -> None:
    async with connect() as other, connect(silence=0.5, reconnect=0.1) as client:
        hub = (await other.status())["hub_pid"]
        with suspended(hub):
            errors = await gather(lambda _: client.execute("1"), range(3))
        assert [type(error) for error in errors] == [ConnectionLost] * 3
        assert "nothing came for 0.5 s" in str(errors[0])
        assert client.is_closed

        async def is_idle() -> bool:
            return bool((await other.status())["state"] == "idle")

        await wait_until_async(is_idle, PATIENCE_S, "the end of what was asked of it before it fell silent")


async def test_what_a_session_has_read_to_the_end_it_is_not_told_again(demo: None) -> None:
    async with connect() as client:
        session = client.session
        await client.execute("1")
        read = [event.seq async for event in client.events(None, follow=False)]
    async with connect(session=session) as again:
        assert again.last_seen == read[-1]
        assert all([event.seq > read[-1] async for event in again.events(None, follow=False)])
