"""Widgets' channels, without a kernel around them."""

import datetime
import json
import sys
from fractions import Fraction
from typing import Any

import pytest

from rpyc_kernel.core.contract import COMM_CALL, Kind
from rpyc_kernel.worker.comms import Comms

comm = pytest.importorskip("comm")


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the comms of a kernel publish."""
    monkeypatch.setattr(comm, "create_comm", comm.create_comm)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    manager = comm.base_comm.CommManager()
    monkeypatch.setattr(comm, "get_comm_manager", lambda: manager)
    emitted: list[tuple[Any, ...]] = []
    comms = Comms(lambda *event: emitted.append(event))
    comms.install()

    def send(action: str, **content: Any) -> None:
        told = {"action": action, "content": {"comm_id": "c", **content}, "metadata": {}, "buffers": []}
        call = comms.find_call(COMM_CALL + json.dumps(told))
        assert call is not None
        call()

    send("open", target_name="jupyter.widget.control", data={})
    send("msg", data={"method": "request_states"})
    return emitted


def test_a_page_that_asks_for_widgets_where_there_are_none_is_answered(emitted: list[tuple[Any, ...]]) -> None:
    [(kind, _, payload)] = emitted
    assert (kind, payload["comm_id"], payload["action"]) == (Kind.COMM, "c", "msg")
    assert payload["data"] == {"method": "update_states", "states": {}, "buffer_paths": []}


@pytest.mark.parametrize(
    ("data", "travelling"),
    [
        ({"a": b"abc"}, {"a": "YWJj"}),
        ({"a": {1}}, {"a": [1]}),
        ({"a": range(2)}, {"a": [0, 1]}),
        ({"a": Fraction(1, 2)}, {"a": 0.5}),
        ({"a": datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)}, {"a": "2020-01-02T00:00:00Z"}),
        ("text", "text"),
        ([0], [0]),
        (0, 0),
        (None, {}),
    ],
)
def test_data_travels_as_jupyter_writes_it(emitted: list[tuple[Any, ...]], data: Any, travelling: Any) -> None:
    comm.create_comm(target_name="t", comm_id="d").send(data)
    assert emitted[-1][2]["data"] == travelling


def test_whoever_sends_what_cannot_travel_is_told(emitted: list[tuple[Any, ...]]) -> None:
    opened = comm.create_comm(target_name="t", comm_id="d")
    with pytest.raises(TypeError, match="JSON cannot carry a object"):
        opened.send({"a": object()})
