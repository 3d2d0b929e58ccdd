"""What a stock client is told of code that it has left in the queue."""

import json
import socket
import threading
from types import SimpleNamespace

import pytest

from rpyc_kernel.core import commands
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.errors import ExecutionDropped, ExecutionError, ExecutionInterrupted, KernelDied, NotAvailable
from rpyc_kernel.wire.netrefs.requests import Later
from rpyc_kernel.worker import stock
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.stock import StockConnections, Submission
from rpyc_kernel.worker.values import Values
from tests.wire.peers import value_server


class Hub:
    """Answers each `follow` from a list of batches; nothing more comes than those."""

    def __init__(self, *batches):
        self.batches = list(batches)
        self.asked = []

    def ask(self, command, *arguments):
        self.asked.append((command, *arguments))
        events = self.batches.pop(0) if self.batches else []
        answer = Later()
        cursor = arguments[1] + len(events) if command is commands.FOLLOW else 0
        answer.set_result(
            (cursor, json.dumps([[n, 0.0, kind, 7, "s", fields] for n, (kind, fields) in enumerate(events)]))
        )
        return answer


def end(outcome=Outcome.OK, reason="because"):
    return Kind.FINISHED, {"outcome": outcome, "reason": reason, "generation": 1}


def error(ename, evalue="reason"):
    return Kind.ERROR, {"ename": ename, "evalue": evalue, "traceback": f"Traceback of {ename}\n"}


RESULT = (Kind.RESULT, {"data": {}, "metadata": {}, "literal": None})


def submit(*batches, values=None):
    hub = Hub(*batches)
    return Submission(7, 100, hub, Values(10) if values is None else values), hub


def test_it_is_read_from_its_first_event_on_and_no_further_than_its_end():
    submission, hub = submit([(Kind.QUEUED, {})], [(Kind.STARTED, {}), end()])
    assert submission.result().result(0) is None
    assert hub.asked == [(commands.FOLLOW, 7, 99, 20.0), (commands.FOLLOW, 7, 100, 0.0)]
    assert submission.result().result(0) is None
    assert submission.wait(0).result(0) is None
    assert len(hub.asked) == 2


def test_it_says_whether_it_is_ready_and_whether_with_an_error():
    submission, hub = submit([], [], [error("KeyError"), end(Outcome.ERROR)])
    assert (submission.ready.result(0), submission.error.result(0)) == (False, False)
    assert (submission.ready.result(0), submission.error.result(0)) == (True, True)
    assert {asked[3] for asked in hub.asked} == {0.0}


def test_its_end_is_found_behind_more_events_than_one_answer_holds():
    batches = [
        [(Kind.STREAM, {"name": "stdout", "text": "x"})],
        [(Kind.STREAM, {"name": "stdout", "text": "y"})],
        [end()],
    ]
    assert submit(*batches)[0].ready.result(0) is True
    assert submit(*batches)[0].error.result(0) is False
    assert submit(*batches)[0].wait(0).result(0) is None


def test_who_waits_for_too_long_is_told_that_it_goes_on():
    submission, hub = submit()
    with pytest.raises(TimeoutError, match="execution 7 has not ended within 0 s; it goes on"):
        submission.result(0).result(0)
    assert hub.asked == [(commands.FOLLOW, 7, 99, 0.0)]


def test_its_value_is_the_object_itself_while_it_is_kept():
    values = Values(10)
    value = object()
    values.keep(7, value)
    assert submit([RESULT, end()], values=values)[0].value.result(0) is value
    with pytest.raises(NotAvailable, match="the worker does not hold a value of execution 7"):
        submit([RESULT, end()])[0].value.result(0)


@pytest.mark.parametrize(
    ("events", "kind", "message"),
    [
        ([error("ZeroDivisionError"), end(Outcome.ERROR)], ZeroDivisionError, "reason"),
        ([error("KeyError"), end(Outcome.ERROR)], KeyError, "reason"),
        ([error("UnicodeDecodeError"), end(Outcome.ERROR)], ExecutionError, "Traceback of UnicodeDecodeError"),
        ([error("SystemExit"), end(Outcome.ERROR)], ExecutionError, "Traceback of SystemExit"),
        ([error("Mine"), end(Outcome.ERROR)], ExecutionError, "Traceback of Mine"),
        ([error("print"), end(Outcome.ERROR)], ExecutionError, "Traceback of print"),
        (
            [error("KeyboardInterrupt"), end(Outcome.INTERRUPTED)],
            ExecutionInterrupted,
            "Traceback of KeyboardInterrupt",
        ),
        ([end(Outcome.INTERRUPTED)], ExecutionInterrupted, "KeyboardInterrupt"),
        ([end(Outcome.CANCELLED)], ExecutionDropped, "execution 7 was cancelled: because"),
        ([end(Outcome.ABORTED)], ExecutionDropped, "execution 7 was aborted: because"),
        ([end(Outcome.LOST)], KernelDied, "execution 7 is lost: because"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_came_of_it_is_raised(events, kind, message):
    submission, _ = submit(events)
    with pytest.raises(kind, match=message) as caught:
        submission.result().result(0)
    assert type(caught.value) is kind
    if kind in (ZeroDivisionError, KeyError):
        assert str(caught.value.__cause__).startswith("Traceback of")
    assert submission.wait().result(0) is None


def test_what_it_has_printed_is_read_from_the_beginning_each_time():
    def printed(text, name="stdout"):
        return Kind.STREAM, {"name": name, "text": text}

    submission, hub = submit([printed("a")], [printed("b"), printed("c", "stderr")], [])
    assert submission.stdout.result(0) == "ab"
    hub.batches = [[printed("a"), printed("c", "stderr"), end()], [printed("another's")]]
    assert submission.stderr.result(0) == "c"


def test_a_client_that_cannot_be_served_leaves_nothing_of_its_session(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(stock, "connect_peer", fail)
    client, near = socket.socketpair()
    with client, value_server(SimpleNamespace(exposed_hello=lambda: ())) as (sock, serving), near:
        with pytest.raises(RuntimeError, match="start new thread"):
            StockConnections({}, Values(10), StagedCalls()).add(near, sock)
        serving.join()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("stock-")]
