"""Fleets: kernels that Dask places, Dask's tasks in them, and what becomes of both when something goes."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path

import pytest
from distributed import Client, Security

import rpyc_kernel
from rpyc_kernel import CallTimeout, Fleet, KernelExists, RequestError
from rpyc_kernel.client.whereabouts import find_all
from rpyc_kernel.fleets import holding, overseeing
from tests.docs.sessions import run_session
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.clusters import Open
from tests.support.waiting import wait_until


def connection_files() -> list[Path]:
    """The connection files of all kernels that run."""
    return [place.folder.connection_file for place in find_all() if place.has_hub]


def place(client: Client, count: int, **options) -> Fleet:  # type: ignore[no-untyped-def]
    options = {"engine": "plain", "timeout": PATIENCE_S, "call_timeout": PATIENCE_S, **options}
    return rpyc_kernel.fleet(client, count, **options)


def test_dasks_tasks_run_in_the_namespaces_of_kernels_that_dask_has_placed(open_cluster: Open) -> None:
    with place(open_cluster(), 2) as fleet:
        assert fleet.names == ("fleet-0", "fleet-1")
        fleet.scatter("part", list(range(10)))
        assert fleet.eval("sum(part)") == [10, 35]
        with fleet.dask() as client:
            client.wait_for_workers(2, PATIENCE_S)

            def look(x):
                return (lambda: part)()[x], name_of_kernel  # noqa: F821 - the kernel's

            fleet.execute("name_of_kernel = 'early'")
            assert client.submit(look, 4, workers=["fleet-1"]).result(PATIENCE_S) == (9, "early")
            fleet.execute("name_of_kernel = 'late'")
            found = client.gather(client.map(look, range(5), pure=False))
            assert {each for _, each in found} == {"late"}
            assert {number for number, _ in found} <= set(range(10))
            failed = client.submit(lambda: nowhere)  # noqa: F821
            with pytest.raises(NameError, match="nowhere"):
                failed.result(PATIENCE_S)
            fleet.restart()
            fleet.execute("part = 'new'")
            wait_until(lambda: [move.what for move in fleet.moves][-2:] == ["restarted"] * 2, PATIENCE_S)
            found = [client.submit(lambda: part, workers=[name], pure=False) for name in fleet.names]  # noqa: F821
            assert [each.result(PATIENCE_S) for each in found] == ["new", "new"]


def test_kernels_without_a_place_are_told_of_with_why_and_wait_for_one(open_cluster: Open) -> None:
    client = open_cluster(resources={"GPU": 1})
    with pytest.raises(CallTimeout, match=r"^0 of 1 .*: fleet-0 waits for a place: .* 3 GPU is needed, and of 2 there"):
        place(client, 1, resources={"GPU": 3}, timeout=0.5)
    told: list[str] = []
    with place(client, 3, timeout=0, on_move=lambda move: told.append(str(move))) as fleet:
        fleet.wait_for_kernels(2, timeout=PATIENCE_S)
        [late] = {"fleet-0", "fleet-1", "fleet-2"} - {*fleet.names}
        reason = f"{late} waits for a place: Dask has 2 workers with 2 threads, and all are taken"
        assert fleet.explain() == reason
        with pytest.raises(CallTimeout, match=f"2 of 3 kernels run after 0.1 s: {reason}"):
            fleet.wait_for_kernels(3, timeout=0.1)
        wait_until(lambda: reason in told, PATIENCE_S, "what is said of it without being asked")
        stopped, stays = fleet.names
        fleet[0].shutdown()
        wait_until(lambda: {*fleet.names} == {stays, late}, PATIENCE_S, "the place of the one that was stopped")
        assert [str(move).partition(" on ")[0] for move in fleet.moves if move.name == stopped][
            -1
        ] == f"{stopped} has ended"
        fleet.scale(1)
        assert len(fleet.names) == 1
    assert rpyc_kernel.kernels() == []


def test_what_is_told_of_kernels_and_what_tasks_exchange_goes_by_dasks_own_encrypted_connections(
    open_cluster: Open,
) -> None:
    client = open_cluster(protocol="tls://", security=Security.temporary())
    with place(client, 1) as fleet, fleet.dask() as tasks:
        fleet["base"] = 100
        assert tasks.submit(lambda x: base + x, 1).result(PATIENCE_S) == 101  # noqa: F821
        assert tasks.scheduler.address.startswith("tls://")
        [key] = [json.loads(file.read_text())["key"] for file in connection_files()]
        told = client.get_events()
        assert any("fleet" in topic for topic in told)
        assert key not in repr(told)


def test_dask_chooses_how_many_kernels_there_are_by_what_there_is_to_do_in_them(open_cluster: Open) -> None:
    with place(open_cluster(), 1) as fleet, fleet.dask() as client:
        with pytest.raises(RequestError, match="3 kernels at least and 1 at most"):
            fleet.adapt(minimum=3, maximum=1)
        adaptive = fleet.adapt(minimum=1, maximum=2, interval=0.05, target_duration=0.2, wait_count=2)

        def block(_):
            gate.wait()  # noqa: F821 - the kernel's
            return own_name  # noqa: F821

        fleet.execute("import threading; gate, own_name = threading.Event(), 'first'")
        jobs = client.map(block, range(8))
        fleet.wait_for_kernels(2, timeout=PATIENCE_S)
        new = next(kernel for name, kernel in fleet.kernels.items() if name != "fleet-0")
        new.execute("import threading; gate, own_name = threading.Event(), 'second'")
        client.wait_for_workers(2, PATIENCE_S)
        fleet.execute("gate.set()")
        assert "second" in client.gather(jobs)
        wait_until(lambda: len(fleet) == 1, PATIENCE_S, "the end of what has nothing to do")
        adaptive.stop()
    assert rpyc_kernel.kernels() == []


def test_what_cannot_be_is_refused_in_words(open_cluster: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    client = open_cluster()
    monkeypatch.setattr(holding, "_NAME_S", 0.1)
    with pytest.raises(RequestError, match="a fleet has no engin; its kernels can have engine, "):
        place(client, 1, engin="plain")
    with pytest.raises(RequestError, match="the working directory '/nowhere' is not there"):
        place(client, 1, cwd="/nowhere")
    with pytest.raises(RequestError, match="0 kernels or more, and not -1"):
        place(client, -1)
    with monkeypatch.context() as patch:
        patch.setattr(overseeing.Overseer, "__reduce__", lambda _: (importlib.import_module, ("not_there",)))
        with pytest.raises(RequestError, match=r"also in the environment of Dask's scheduler and workers: .*not_there"):
            place(client, 1)
    with rpyc_kernel.start("fleet-0", engine="plain", timeout=PATIENCE_S) as own:
        with pytest.raises(KernelExists, match="kernel 'fleet-0' is running already"):
            place(client, 1)
        assert own.eval("6 * 7") == 42
        own.shutdown()


def test_a_fleet_whose_client_of_dask_is_closed_has_ended(open_cluster: Open) -> None:
    cluster = open_cluster().cluster
    with Client(cluster, set_as_default=False) as client:
        fleet = place(client, 1)
        [kernel] = fleet
    assert kernel.wait_until_closed(PATIENCE_S)
    fleet.close()
    with pytest.raises(RequestError, match="the fleet has no kernel that runs: it was closed"):
        fleet.execute("1")
    with pytest.raises(RequestError, match="this fleet is closed"):
        fleet.scale(1)


def test_all_that_is_public_has_an_example_that_runs_as_shown(open_cluster: Open) -> None:
    public = {"fleet": rpyc_kernel.fleet, "Fleet": Fleet, "Move": rpyc_kernel.Move}
    public |= {name: value for name, value in vars(Fleet).items() if not name.startswith("_")}
    texts = {name: inspect.getdoc(value) or "" for name, value in public.items()}
    assert [name for name, text in texts.items() if ">>> " not in text] == []
    client = open_cluster(threads_per_worker=2)
    with place(client, 1) as fleet:
        known = {"rpyc_kernel": rpyc_kernel, "dask_client": client}
        wrong = [run_session(text, name, {**known, "fleet": fleet})[1] for name, text in texts.items()]
    assert not any(wrong), "".join(wrong)
