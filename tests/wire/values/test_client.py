"""The client for calls by value: who calls reads, nobody waits for ever, and Ctrl-C leaves it usable."""

import contextlib
import itertools
import os
import select
import signal
import socket
import threading
import zlib
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from rpyc.core import brine, consts

from rpyc_kernel.errors import CallTimeout, ConnectionLost, RequestError
from rpyc_kernel.wire import refusal
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.values.call import CallEncoder
from rpyc_kernel.wire.values.client import Call, RemoteError, ValueClient
from rpyc_kernel.wire.values.server import serve_values
from tests.support.waiting import in_thread, wait_until
from tests.wire.interrupts import MAY_BE_SWALLOWED, interrupt_at
from tests.wire.peers import DEADLINE_S, Serving, our_server, socket_pair, stock_server, value_client, value_server
from tests.wire.services import Workshop

HEADER = Channel.FRAME_HEADER
ROOT = ("some.Service", 1, 1)


class Service:
    def __init__(self):
        self.futures = []

    def exposed_next(self, number):
        return number + 1

    def exposed_echo(self, value):
        return value

    def exposed_later(self):
        self.futures.append(Future())
        return self.futures[-1]


@pytest.fixture
def stage():
    service = Service()
    with value_server(service) as (sock, serving), value_client(sock) as client:
        yield SimpleNamespace(service=service, client=client, serving=serving)


def is_reading(client):
    return bool(client._baton)


# ---- answers ----


@pytest.mark.parametrize("server", [our_server, stock_server])
def test_a_call_works_with_a_service_of_objects_too(server):
    with server(Workshop(kept=[])) as (sock, _), value_client(sock) as client:
        assert client.call("eval", ("6 * 7",)) == 42
        assert client.call("eval", ("'x' * 100_000",)) == "x" * 100_000  # which stock RPyC compresses
        with pytest.raises(TypeError, match="only a value"):
            client.call("eval", ("kept",))
        with pytest.raises(RemoteError) as caught:
            client.call("eval", ("1 / 0",))
        assert caught.value.remote_type == "builtins.ZeroDivisionError"


def test_arguments_have_to_be_plain_values():
    with value_server(Service()) as (sock, _), value_client(sock, max_frame_bytes=1000) as client:
        for argument in ([], object(), "\ud800", 10**5000, " " * 2000):
            with pytest.raises(RequestError):
                client.call("echo", (argument,))
        assert not client._pending
        assert client.call("echo", (1,)) == 1


def test_more_than_the_sockets_hold_crosses_both_ways_at_once(stage):
    large = bytes(10_000_000)
    asked = [in_thread(lambda: stage.client.call("echo", (large,))) for _ in range(3)]
    assert all(each.result(DEADLINE_S) == large for each in asked)


def test_an_answer_of_another_thread_is_delivered_by_who_reads(stage):
    long = in_thread(lambda: stage.client.call("later"))
    wait_until(lambda: stage.service.futures)
    reader = stage.client._baton[0]
    assert stage.client.call("next", (1,), DEADLINE_S) == 2
    assert stage.client._baton[0] is reader
    stage.service.futures[0].set_result("late")
    assert long.result(DEADLINE_S) == "late"


def test_an_answer_that_comes_together_with_the_peers_goodbye_is_an_answer():
    near, far = socket_pair()

    class Leaving:
        def exposed_last(self):
            far.shutdown(socket.SHUT_RD)
            return "the last answer"

    serving = Serving(lambda: serve_values(far, Leaving(), name="values", is_dismissed=lambda: True))
    with value_client(near, silence_s=1.0) as client:
        client._fetch_root(None)
        client._baton[0] = Call()  # somebody reads, who does not come to it
        asking = in_thread(lambda: client.call("last"))
        serving.join()
        del client._baton[0]
        assert asking.result(DEADLINE_S) == "the last answer"
        wait_until(lambda: client.is_closed)
        assert client.was_dismissed


@pytest.mark.parametrize("reads", [False, True], ids=["nobody reads", "who sends reads, too"])
def test_who_can_send_nothing_more_hears_why(reads):
    """A hub that ends stops to listen, and says goodbye a moment later."""
    near, far = socket_pair()
    serving = Serving(lambda: serve_values(far, object(), name="values", is_dismissed=lambda: True))

    class NotListenedTo:
        """The socket of one whose peer has just stopped to listen."""

        def __getattr__(self, name):
            return getattr(near, name)

        def send(self, *_):
            threading.Thread(target=far.shutdown, args=(socket.SHUT_RD,)).start()
            raise BrokenPipeError

    with value_client(near, silence_s=1.0) as client:
        client._fetch_root(None)
        client._sock = NotListenedTo()
        if reads:
            mine = client._baton[0] = Call()
            mine.thread = threading.get_ident()
        with pytest.raises(ConnectionLost, match="the other side has ended it"):
            client.start("anything")
        client._baton.clear()
        serving.join()
        assert client.was_dismissed


def test_who_waits_inherits_the_baton(stage):
    asked = []
    for number in range(3):
        asked.append(in_thread(lambda: stage.client.call("later")))
        wait_until(lambda: len(stage.service.futures) == number + 1)  # noqa: B023 - called at once
    wait_until(lambda: sum(call.bell is not None for call in stage.client._pending.values()) == 2)
    for number in range(3):
        stage.service.futures[number].set_result(number)
        assert asked[number].result(DEADLINE_S) == number
    assert not stage.client._baton


def test_many_threads_get_their_own_answers(stage):
    def ask(thread):
        return all(stage.client.call("echo", ((thread, number),)) == (thread, number) for number in range(100))

    assert all(each.result(DEADLINE_S) for each in [in_thread(lambda n=n: ask(n)) for n in range(8)])
    assert not (stage.client._pending)
    assert not (stage.client._baton)
    assert not (stage.client._inside)


# ---- calls that nobody waits for ----


def test_a_started_call_is_answered_when_somebody_reads(stage):
    first, second = stage.client.start("next", (1,)), stage.client.start("next", (2,))
    assert stage.client.call("next", (3,)) == 4
    assert (first.result(0), second.result(0)) == (2, 3)


@pytest.mark.parametrize("hears", [lambda call: call.result(DEADLINE_S) == 2, lambda call: wait_until(call.done)])
def test_who_asks_a_started_call_reads_for_it(stage, hears):
    assert hears(stage.client.start("next", (1,)))


def test_two_threads_may_wait_for_one_started_call(stage):
    call = stage.client.start("later")
    asked = [in_thread(lambda: call.result(DEADLINE_S)) for _ in range(2)]
    wait_until(lambda: stage.service.futures and len(call._done_callbacks) == 3)
    stage.service.futures[0].set_result(5)
    assert [each.result(DEADLINE_S) for each in asked] == [5, 5]


def test_a_started_call_that_is_waited_for_keeps_the_limit(stage):
    call = stage.client.start("later")
    with pytest.raises(TimeoutError):
        call.result(0.01)
    stage.service.futures[0].set_result(5)
    assert call.result(DEADLINE_S) == 5


def test_callbacks_run_where_somebody_reads_and_may_fail(stage, caplog):
    def fail(call):
        raise LookupError("in a callback")

    heard = []
    call = stage.client.start("next", (1,))
    call.add_done_callback(fail)
    call.add_done_callback(lambda call: heard.append((call.result(), threading.get_ident())))
    assert stage.client.call("next", (2,)) == 3
    assert heard == [(2, threading.get_ident())]
    assert "in a callback" in caplog.text


def test_a_callback_that_ends_the_connection_is_called_once(stage, caplog):
    heard = []
    call = stage.client.start("next", (1,))
    call.add_done_callback(lambda call: (heard.append(call.result()), stage.client.close()))
    call.add_done_callback(lambda call: heard.append("the next one"))
    stage.client.read_until(lambda: False)
    assert heard == [2, "the next one"]
    assert not caplog.text


def test_a_callback_that_would_wait_for_itself_is_told_so(stage):
    errors = []

    def ask(call):
        try:
            stage.client.call("next", (1,), DEADLINE_S)
        except RuntimeError as error:
            errors.append(str(error))

    stage.client.start("next", (1,)).add_done_callback(ask)
    assert stage.client.call("next", (2,)) == 3
    assert "wait on another thread" in errors[0]


def test_a_cancelled_call_drops_its_answer(stage):
    call = stage.client.start("later")
    wait_until(lambda: stage.service.futures)
    assert call.cancel()
    stage.service.futures[0].set_result("too late")
    assert stage.client.call("next", (1,)) == 2
    assert call.cancelled()
    assert not stage.client._pending


def test_a_loop_that_waits_for_several_things_reads_when_there_is_something(stage):
    heard = Future()
    stage.client.start("later").add_done_callback(lambda call: heard.set_result(call.result()))
    wait_until(lambda: stage.service.futures)
    stage.client.read_ready()
    assert not heard.done()
    stage.service.futures[0].set_result("now")
    assert select.select([stage.client], [], [], DEADLINE_S)[0]
    stage.client.read_ready()
    assert heard.result(0) == "now"


# ---- limits of time ----


def test_a_late_answer_is_dropped_and_the_next_call_gets_its_own(stage):
    assert stage.client.call("next", (0,), DEADLINE_S) == 1  # so that the next call begins with what is asked
    with pytest.raises(CallTimeout):
        stage.client.call("later", (), 0.01)
    wait_until(lambda: stage.service.futures)[0].set_result("late")
    assert stage.client.call("next", (1,), DEADLINE_S) == 2
    assert not stage.client._pending


def test_a_limit_is_kept_while_another_thread_reads(stage):
    long = in_thread(lambda: stage.client.call("later"))
    wait_until(lambda: stage.service.futures)
    with pytest.raises(CallTimeout):
        stage.client.call("later", (), 0.01)
    stage.service.futures[0].set_result(1)
    assert long.result(DEADLINE_S) == 1


@contextlib.contextmanager
def peer():
    """A client, and the channel on which a test plays its peer."""
    near, far = socket_pair()
    channel = Channel(far)
    with value_client(near, silence_s=0.5, advice="do something") as client:
        client._encoder = CallEncoder(ROOT)
        try:
            yield client, channel, far
        finally:
            channel.close()


def message(kind, number, payload):
    return bytes((kind,)) + brine.dump((number, payload))


def answer(number, value):
    return message(consts.MSG_REPLY, number, (consts.LABEL_VALUE, value))


def read_request(channel):
    number, (handler, _) = brine.load(bytes(channel.recv())[1:])
    return number, handler


def test_a_peer_that_takes_nothing_is_given_up_by_who_has_no_more_time_and_has_sent_nothing():
    with peer() as (client, channel, _):
        with pytest.raises((CallTimeout, ConnectionLost)):
            client.call("echo", (bytes(30_000_000),), 0.05)
        with pytest.raises(CallTimeout):
            client.call("never", (), 0.05)
        asking = in_thread(lambda: client.call("next", (1,), DEADLINE_S))
        first, second = channel.recv(), channel.recv()  # whole, and in step
        assert len(first) > 30_000_000
        assert b"next" in second
        channel.send(answer(brine.load(bytes(second)[1:])[0], 2))
        assert asking.result(DEADLINE_S) == 2


def test_a_peer_that_is_silent_for_ever_is_given_up_and_asked_once_before():
    with peer() as (client, channel, _):
        started = client.start("anything")
        with pytest.raises(ConnectionLost, match=r"nothing came for 0\.5 s; do something"):
            client.call("anything")
        assert isinstance(started.exception(0), ConnectionLost)
        assert [read_request(channel)[1] for _ in range(3)] == [consts.HANDLE_CALLATTR] * 2 + [consts.HANDLE_PING]
        with pytest.raises(ConnectionLost):
            channel.recv()
        assert client.is_closed


@pytest.mark.parametrize("limit_s", [None, 0.4])
def test_a_silent_peer_is_found_however_often_a_signal_comes(limit_s):
    """As where a program shows its progress by a timer."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
    try:
        with peer() as (client, _, _), pytest.raises(ConnectionLost if limit_s is None else CallTimeout):
            client.call("anything", timeout_s=limit_s)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_call_may_take_long_where_the_peer_lives():
    with peer() as (client, channel, _):
        asking = in_thread(lambda: client.call("anything"))
        asked, _ = read_request(channel)
        for _ in range(8):  # more beats than the patience has
            number, handler = read_request(channel)
            assert handler == consts.HANDLE_PING
            channel.send(answer(number, ""))
        channel.send(answer(asked, "at last"))
        assert asking.result(DEADLINE_S) == "at last"


def test_limits_that_are_shorter_than_the_patience_add_up_to_it():
    with peer() as (client, _, _far):
        for _ in range(20):
            with pytest.raises((CallTimeout, ConnectionLost)):
                client.call("anything", (), 0.06)
        assert client.is_closed


def test_a_loop_tells_how_long_it_has_waited():
    with peer() as (client, channel, _):
        call = client.start("anything")
        for _ in range(5):
            client.read_ready(client.beat_s)
        assert isinstance(call.exception(0), ConnectionLost)
        assert [read_request(channel)[1] for _ in range(2)] == [consts.HANDLE_CALLATTR, consts.HANDLE_PING]


def test_waiting_for_the_end_is_no_impatience():
    with peer() as (client, channel, _):
        assert not client.wait_until_closed(0.7)
        assert not client.is_closed
        waiting = in_thread(lambda: client.wait_until_closed(DEADLINE_S))
        wait_until(lambda: is_reading(client))
        channel.close()
        assert waiting.result(DEADLINE_S)


# ---- peers that lie, and ends of all kinds ----

BAD_FRAMES = {
    "no data": (b"", "unknown kind 0"),
    "an unknown kind": (b"\x12nonsense", "unknown kind 18"),
    "no number": (b"\x02\xff", "without a number"),
    "a request": (message(consts.MSG_REQUEST, 1, (consts.HANDLE_GETROOT, (consts.LABEL_VALUE, ()))), "only asks"),
    "a request of no sense": (b"\x01\xff", "only asks"),
    "its leave": (message(consts.MSG_REQUEST, 1, (consts.HANDLE_CLOSE, (consts.LABEL_VALUE, ()))), "has ended it"),
}


@pytest.mark.parametrize(("data", "reason"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_what_cannot_be_trusted_ends_the_connection_and_says_why(data, reason):
    with peer() as (client, channel, _):
        channel.send(data)
        with pytest.raises(ConnectionLost, match=reason):
            client.call("anything")
        assert client.is_closed


PACKED = zlib.compress(bytes(100_000_000))
BAD_BYTES = {
    "the end": (b"", "closed by the peer"),
    "half a header": (b"\0\0", "closed by the peer"),
    "half a frame": (HEADER.pack(100, 0) + b"\x02half", "closed by the peer"),
    "far too much": (HEADER.pack(2**32 - 1, 0), "the limit is 67108864"),
    "what inflates to far too much": (HEADER.pack(len(PACKED), 1) + PACKED + b"\n", "far too large"),
    "what does not inflate": (HEADER.pack(4, 1) + b"1234\n", "does not inflate"),
    "a refusal": (refusal.MARK + (5).to_bytes(2, "big") + b"full!", "full!"),
    "half a refusal": (refusal.MARK + (500).to_bytes(2, "big") + b"full", "closed by the peer"),
}


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize(("data", "reason"), BAD_BYTES.values(), ids=BAD_BYTES)
def test_bytes_that_make_no_frame_end_the_connection_and_say_why(data, reason, is_slow):
    with peer() as (client, _, far):
        asking = in_thread(lambda: client.call("anything"))
        wait_until(lambda: is_reading(client))

        def send():
            with contextlib.suppress(OSError):
                for piece in [data[at : at + 1] for at in range(20)] + [data[20:]] if is_slow else [data]:
                    far.send(piece)
                far.shutdown(socket.SHUT_WR)

        send()
        with pytest.raises(ConnectionLost, match=reason):
            asking.result(DEADLINE_S)


BAD_ANSWERS = {
    "no package": (message(consts.MSG_REPLY, 1, 5), ValueError),
    "an unknown label": (message(consts.MSG_REPLY, 1, (9, 5)), ValueError),
    "a reference": (message(consts.MSG_REPLY, 1, (consts.LABEL_REMOTE_REF, ("x", 1, 2))), TypeError),
    "a reference of no sense": (message(consts.MSG_REPLY, 1, (consts.LABEL_REMOTE_REF, 5)), ValueError),
    "one's own object": (message(consts.MSG_REPLY, 1, (consts.LABEL_LOCAL_REF, ("x", 1, 2))), ValueError),
    "what does not decode": (message(consts.MSG_REPLY, 1, 5)[:-1] + b"\xff", ValueError),
    "an error of no sense": (message(consts.MSG_EXCEPTION, 1, 5.0), RemoteError),
    "an error in short": (message(consts.MSG_EXCEPTION, 1, consts.EXC_STOP_ITERATION), RemoteError),
    "an error of odd names": (message(consts.MSG_EXCEPTION, 1, ((5, None), (), (), "")), RemoteError),
}


@pytest.mark.parametrize(("data", "kind"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_an_answer_that_is_no_value_is_an_error_of_that_call_alone(data, kind):
    with peer() as (client, channel, _):
        for odd in (answer(slice(1), 5), answer(77, 5), answer(True, 5)):
            channel.send(odd)  # to nobody
        channel.send(data)
        with pytest.raises(kind):
            client.call("first")
        channel.send(answer(2, "good"))
        assert client.call("second") == "good"


def test_a_root_that_is_no_object_is_refused():
    with peer() as (client, channel, _):
        client._encoder = None
        channel.send(answer(2, 5))
        with pytest.raises(TypeError, match="root is not an object"):
            client.call("anything")


def test_the_end_is_seen_without_a_call(stage):
    assert not stage.client.is_closed
    stage.client._sock.shutdown(socket.SHUT_WR)
    stage.serving.join()
    assert stage.client.is_closed
    with pytest.raises(ConnectionLost, match="closed by the peer"):
        stage.client.call("next", (1,))


def test_closing_ends_every_wait(stage):
    waiting = [in_thread(lambda: stage.client.call("later")) for _ in range(2)]
    waiting.append(in_thread(stage.client.start("later").result))
    wait_until(lambda: len(stage.service.futures) == 3)
    for _ in range(2):
        stage.client.close()
    for each in waiting:
        with pytest.raises(ConnectionLost, match="closed here"):
            each.result(DEADLINE_S)
    wait_until(lambda: stage.client.fileno() == -1)


def test_who_waits_hears_that_it_was_closed_here_though_the_peer_ends_it_meanwhile(stage, monkeypatch):
    waiting = in_thread(lambda: stage.client.call("later"))
    wait_until(lambda: stage.service.futures)
    send = stage.client._send

    def send_until_the_peer_has_gone(transfer):
        send(transfer)
        wait_until(waiting.done)

    monkeypatch.setattr(stage.client, "_send", send_until_the_peer_has_gone)
    stage.client.close()
    with pytest.raises(ConnectionLost, match="closed here"):
        waiting.result(DEADLINE_S)
    assert stage.client.loss == "it was closed here"


def test_a_fork_can_only_close_it(stage):
    child = os.fork()
    if not child:
        outcome = 1
        try:
            with pytest.raises(ConnectionLost, match="not to this fork of it"):
                stage.client.call("next", (1,))
            stage.client.close()
            outcome = 0
        finally:
            os._exit(outcome)
    assert os.waitpid(child, 0)[1] == 0
    assert stage.client.call("next", (1,)) == 2


# ---- Ctrl-C ----


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_in_a_call_leaves_the_stream_in_step(stage):
    for place in itertools.count(1):
        started = stage.client.start("echo", (place,))  # whose answer the interrupted call may have received
        is_hit = interrupt_at(place, lambda: stage.client.call("next", (1,), DEADLINE_S))
        assert stage.client.call("next", (place,), DEADLINE_S) == place + 1
        assert started.result(0) == place
        assert not stage.client._pending
        assert not stage.client._baton
        assert not stage.client._inside
        if not is_hit:
            break
    assert place > 20


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_takes_nothing_from_another_thread(stage):
    """Whoever reads while it comes either has the other's answer delivered, or has the other read on."""
    for place in itertools.count(1):
        asked = len(stage.service.futures)
        told = Future()
        stage.client.start("later").add_done_callback(lambda call, told=told: told.set_result(call.result()))

        def ask(asked=asked):
            reading = in_thread(lambda: stage.client.call("later", (), DEADLINE_S))
            wait_until(lambda: len(stage.service.futures) == asked + 2)
            return reading

        reading = ask()
        stage.service.futures[asked].set_result("started")
        is_hit = interrupt_at(place, lambda: stage.client.call("next", (1,), DEADLINE_S))
        stage.service.futures[asked + 1].set_result("called")
        assert reading.result(DEADLINE_S) == "called"
        assert stage.client.call("next", (1,), DEADLINE_S) == 2
        assert told.result(DEADLINE_S) == "started"
        if not is_hit:
            break
    assert place > 20


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_has_the_next_thread_read(stage):
    for place in itertools.count(1):
        asked = len(stage.service.futures)
        gate = threading.Lock()
        gate.acquire()

        def wait(gate=gate):
            gate.acquire()
            return stage.client.call("later", (), DEADLINE_S)

        waiting = in_thread(wait)

        def ask(gate=gate):
            gate.release()  # the other thread comes while this one reads, and has to go on without it
            stage.client.call("next", (1,), DEADLINE_S)

        is_hit = interrupt_at(place, ask)
        with contextlib.suppress(RuntimeError):  # it is open
            gate.release()
        wait_until(lambda: len(stage.service.futures) > asked)  # noqa: B023 - called at once
        stage.service.futures[-1].set_result("called")
        assert waiting.result(DEADLINE_S) == "called"
        if not is_hit:
            break
    assert place > 20


def test_a_signal_in_the_middle_of_a_large_answer_loses_none_of_it():
    with peer() as (client, channel, far):
        main = threading.get_ident()
        large = answer(1, bytes(5_000_000))
        frame = HEADER.pack(len(large), 0) + large + b"\n"

        def send():
            number, _ = read_request(channel)
            assert number == 1
            far.sendall(frame[:3_000_000])
            wait_until(lambda: sum(map(len, client._chunks)) == 3_000_000)
            signal.pthread_kill(main, signal.SIGINT)
            return True

        sending = in_thread(send)
        with pytest.raises(KeyboardInterrupt):
            client.call("large")
        assert sending.result(DEADLINE_S)

        def go_on():
            far.sendall(frame[3_000_000:])
            channel.recv()
            channel.send(answer(2, "next"))

        going_on = in_thread(go_on)
        assert client.call("next") == "next"
        going_on.result(DEADLINE_S)


def test_it_has_no_thread(stage):
    before = threading.active_count()
    assert stage.client.call("next", (1,)) == 2
    assert threading.active_count() == before
    assert isinstance(stage.client, ValueClient)
    assert isinstance(stage.serving, Serving)
