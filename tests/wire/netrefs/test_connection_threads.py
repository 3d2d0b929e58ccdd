"""Who runs what, who waits for whom, and what Ctrl-C does to it."""

import itertools
import random
import signal
import socket
import sys
import threading

import pytest
import rpyc
from rpyc.core import Channel as StockChannel
from rpyc.core import consts

from rpyc_kernel.errors import CallTimeout, ConnectionLost
from rpyc_kernel.system import switching
from rpyc_kernel.wire import messages
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs import reading
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, connect_peer
from rpyc_kernel.wire.netrefs.replies import Reply
from tests.support.waiting import wait_until
from tests.wire.interrupts import MAY_BE_SWALLOWED, interrupt_at, interrupt_everywhere
from tests.wire.peers import (
    DEADLINE_S,
    Serving,
    open_stock,
    our_client,
    our_pair,
    our_server,
    socket_pair,
    stock_pair,
    stock_server,
)
from tests.wire.services import Gate, Workshop
from tests.wire.stages import closing_all, wait_until_blocked

INTERVAL_S = 0.0004
EAGER_S = INTERVAL_S / 4


@pytest.fixture
def intervals(monkeypatch):
    """What the switch interval was set to, in this order, beginning with 0.4 ms."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(INTERVAL_S)
    seen = []
    monkeypatch.setattr(switching, "_set", lambda seconds: (seen.append(seconds), sys.setswitchinterval(seconds)))
    yield seen
    sys.setswitchinterval(usual_s)


class Counter:
    def exposed_next(self, number):
        return number + 1


def do_two_calls_get_on_that_wait_for_each_other(pair, patience_s):
    """One call is answered by a callback, and the callback waits for the other call, which was waiting first."""
    gate = Gate()
    with pair(Workshop(gate=gate)) as (client, _):
        client.root.execute("def call(back):\n    gate()\n    return back()")
        call, add = client.root.eval("call"), client.root.eval("lambda: 2 + 2")
        is_answered = threading.Event()
        answers = []
        first = Serving(lambda: answers.append(call(lambda: is_answered.wait(patience_s))))
        gate.wait_reached()
        second = Serving(lambda: (add(), is_answered.set()))
        wait_until_blocked(second)
        gate.open()
        first.join()
        second.join()
        return answers == [True]


def test_stock_deadlocks_on_two_calls_that_wait_for_each_other():
    assert not do_two_calls_get_on_that_wait_for_each_other(stock_pair, 0.5)


def test_two_calls_that_wait_for_each_other_get_on():
    assert do_two_calls_get_on_that_wait_for_each_other(our_pair, DEADLINE_S)


def test_stock_is_dead_after_a_callback_that_raised():
    def fail(result):
        raise LookupError("from the callback")

    with stock_pair() as (client, _):
        evaluate = client.root.eval
        result = rpyc.async_(evaluate)("1")
        result.add_callback(fail)
        with pytest.raises(LookupError):
            result.wait()
        client._config["sync_request_timeout"] = 0.3
        other = Serving(lambda: evaluate("2"))
        other.join()
        assert isinstance(other.error, TimeoutError)


def test_a_callback_that_raises_is_logged_and_harms_nobody(caplog):
    def fail(result):
        raise LookupError("from the callback")

    seen = []
    with our_pair() as (client, _):
        evaluate = client.root.eval
        result = rpyc.async_(evaluate)("1")
        result.add_callback(fail)
        result.add_callback(lambda result: seen.append((result.value, threading.current_thread().name)))
        assert result.value == 1
        other = Serving(lambda: evaluate("2"))
        other.join()
        assert other.error is None
        wait_until(lambda: seen)
    assert "a callback of a reply" in caplog.text
    assert seen in ([(1, "client-requests")], [(1, threading.current_thread().name)])


def test_stock_answers_its_server_only_while_it_waits_itself():
    with stock_server(config={"sync_request_timeout": 0.3}) as (sock, _):
        client = open_stock(sock)
        client.root.execute("results = []")
        call = rpyc.async_(client.root.eval("lambda back: results.append(back())"))
        result = call(lambda: "answered")
        assert not result._is_ready
        # Nobody serves, and looking does not help: by then the server has given up and said so.
        sock = client._channel.stream.sock
        wait_until(lambda: consts.MSG_EXCEPTION in read_kinds(sock.recv(65536, socket.MSG_PEEK)))
        result._conn.poll_all(0.1)
        with pytest.raises(TimeoutError):
            _ = result.value
        client._channel.close()
        client.close()


def read_kinds(data):
    kinds = []
    while data:
        length, _ = StockChannel.FRAME_HEADER.unpack_from(data)
        start = StockChannel.FRAME_HEADER.size
        kinds.append(messages.decode(data[start : start + length])[0])
        data = data[start + length + len(StockChannel.FLUSHER) :]
    return kinds


def test_an_idle_client_answers_its_server():
    with our_pair() as (client, server):
        client.root.execute("results = []")
        take = client.root.eval("lambda back: results.append(back)")
        take(lambda: threading.current_thread().name)
        back = server._local_root.namespace["results"][0]
        assert back() == "client-requests"


def test_callbacks_nest_to_any_depth_on_one_thread():
    names = set()

    def descend(depth):
        names.add(threading.current_thread().name)
        return 0 if depth == 0 else 1 + bounce(descend, depth - 1)

    with our_pair(timeout_s=None) as (client, server):
        client.root.execute("import threading\nnames = set()")
        client.root.execute(
            "def bounce(back, depth):\n    names.add(threading.current_thread().name)\n    return back(depth)"
        )
        bounce = client.root.eval("bounce")
        assert bounce(descend, 50) == 50
        assert server._local_root.namespace["names"] == {"server-requests"}
    assert names == {"client-requests"}


def test_requests_are_served_one_by_one_in_the_order_of_their_arrival():
    with our_pair() as (client, server):
        client.root.execute("seen = []")
        note = rpyc.async_(client.root.eval("seen.append"))
        results = [note(number) for number in range(500)]
        results[-1].wait()
        assert server._local_root.namespace["seen"] == list(range(500))
        assert all(result.ready for result in results)


def test_what_needs_no_user_code_is_answered_while_a_request_runs():
    gate = Gate()
    with our_pair(Workshop(gate=gate, thing=Gate())) as (client, _):
        evaluate = client.root.eval
        thing = evaluate("thing")
        running = rpyc.async_(client.root.eval("gate"))()
        gate.wait_reached()
        client.ping(timeout=DEADLINE_S)
        assert client.sync_request(consts.HANDLE_INSPECT, thing.____id_pack__)
        assert not running.ready
        gate.open()
        assert running.value is True


def test_a_waiting_callback_lets_a_user_thread_pass():
    gate = Gate()
    with our_pair() as (client, _):
        call = rpyc.async_(client.root.eval("lambda back: back()"))
        running = call(gate)
        gate.wait_reached()
        assert client._outbox._queued_bytes == 0
        client.ping(timeout=DEADLINE_S)
        gate.open()
        assert running.value is True


def test_code_that_serves_a_connection_itself_does_no_harm():
    with our_pair() as (client, server):
        serving, polling = rpyc.BgServingThread(client), Serving(server.serve_all)
        assert client.root.eval("lambda back: back(1)")(lambda number: number + 1) == 2
        assert client.poll() is False
        assert client.poll_all(0.01) is False
        assert client.serve(0.01) is False
        serving.stop()
        client.close()
        polling.join()
        assert polling.error is None
        with pytest.raises(ConnectionLost):
            client.serve(0)


def test_a_request_can_let_the_requests_behind_it_pass():
    with our_pair() as (client, server):
        server._local_root.namespace.update(server=server, seen=[])
        client.root.execute("def wait():\n    while not seen: server.serve(0.05)\n    return seen")
        waiting = rpyc.async_(client.root.eval("wait"))()
        note = rpyc.async_(client.root.eval("seen.append"))("behind")
        assert waiting.value[0] == "behind"
        assert note.ready


# ---- who reads ----


def test_a_request_is_served_by_the_thread_that_reads_it(monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE_S", 10 * DEADLINE_S)  # so the other reads only where it is summoned,
    monkeypatch.setattr(reading, "_BACKLOG", 1_000_000)  # and not for a pile of references that are given back
    with our_pair(timeout_s=None) as (client, server):
        client.root.execute("class Thing:\n    def apply(self, function): return function(self)")
        make = client.root.eval("Thing")

        def is_served_where_it_is_read():
            assert make().apply(lambda thing: thing.apply(lambda _: 7)) == 7
            return all(side._standby.ident != side._reading._reader for side in (client, server))

        # Whoever is held up in the middle of a call may find that the other has begun to read; not again and again.
        wait_until(is_served_where_it_is_read, DEADLINE_S)


@pytest.fixture
def takers(monkeypatch):
    """The threads that have taken a message out of a channel that they only peeked at."""
    idents = []
    take = Channel.take

    def note_and_take(channel, *args):
        idents.append(threading.get_ident())
        take(channel, *args)

    monkeypatch.setattr(Channel, "take", note_and_take)
    return idents


@pytest.mark.parametrize("timeout_s", [None, DEADLINE_S, 0.2])
def test_a_reply_is_read_by_the_thread_that_has_asked(takers, timeout_s):
    with our_pair(timeout_s=timeout_s) as (client, _):
        client.root.execute("class Thing:\n    attribute = 7")
        thing = client.root.eval("Thing()")

        def is_read_by_the_caller():
            takers.clear()
            return [thing.attribute for _ in range(20)] == [7] * 20 and len(takers) >= 20

        wait_until(is_read_by_the_caller)  # what came before may lead the requests thread into the first ones
        assert set(takers) == {threading.get_ident()}


def test_a_caller_leaves_what_is_not_its_own_to_the_requests_thread():
    names = []
    with our_pair(timeout_s=None) as (client, _):
        client.root.execute(
            "import threading\n"
            "def keep(back): globals()['back'] = back\n"
            "def have_called(number):\n"
            "    calling = threading.Thread(target=back, args=(number,))\n"
            "    calling.start()\n"
            "    calling.join()\n"
            "    return number"
        )
        client.root.eval("keep")(lambda number: names.append((number, threading.current_thread().name)))
        have_called = client.root.eval("have_called")
        for number in range(20):
            assert have_called(number) == number
        assert names == [(number, "client-requests") for number in range(20)]


def test_a_signals_handler_may_call_in_the_middle_of_a_call():
    seen = []
    with our_pair() as (client, _):
        evaluate = client.root.eval
        client.root.execute("import signal, threading\nmain = threading.main_thread().ident")
        former = signal.signal(signal.SIGUSR2, lambda *_: seen.append(evaluate("6 * 7")))
        try:
            for number in range(3):
                assert evaluate(f"signal.pthread_kill(main, signal.SIGUSR2) or {number}") == number
                assert seen == [42] * (number + 1)
        finally:
            signal.signal(signal.SIGUSR2, former)


def test_a_call_within_a_call_takes_over_reading(monkeypatch):
    take, answers, others = Channel.take, [], []
    with our_pair() as (client, _):
        evaluate = client.root.eval

        def call_and_take(channel, *args):
            if len(answers) < 5 and threading.current_thread() is threading.main_thread():
                index = len(answers)  # as a finalizer does that the collector runs just then
                answers.append(None)
                answers[index] = evaluate("1 + 1")
                others.append(Serving(lambda: [evaluate("2") for _ in range(20)]))
            take(channel, *args)

        monkeypatch.setattr(Channel, "take", call_and_take)
        assert [evaluate(str(number)) for number in range(10)] == list(range(10))
        for other in others:
            other.join()
            assert other.error is None
    assert answers == [2] * len(answers) != []


def test_a_request_that_takes_long_keeps_no_reply_from_other_threads():
    gate = Gate()
    with our_pair() as (client, _):
        evaluate = client.root.eval
        running = rpyc.async_(evaluate("lambda back: back()"))(gate)
        gate.wait_reached()
        # The server waits for the callback, and serves this meanwhile; the callback blocks the thread that reads here.
        for number in range(10):
            assert evaluate(str(number)) == number
        assert not running.ready
        gate.open()
        assert running.value is True


def test_a_request_may_wait_for_a_thread_that_waits_for_a_reply():
    with our_pair() as (client, _):
        client.root.execute(
            "import threading\n"
            "def ask_beside(back):\n"
            "    told = []\n"
            "    asking = threading.Thread(target=lambda: told.append(back()))\n"
            "    asking.start()\n"
            "    asking.join(30)\n"
            "    return told[0]"
        )
        assert client.root.eval("ask_beside")(lambda: 2) == 2


def test_a_reply_that_is_completed_here_runs_its_callbacks_at_once():
    with our_pair() as (client, _):
        wait_until(lambda: client._reading._is_server_here)
        reply, seen = Reply(client), []
        reply.add_callback(lambda reply: seen.append((reply.value, threading.current_thread())))
        assert seen == []
        reply(False, 42)
        assert seen == [(42, threading.current_thread())]


def test_a_callback_may_call_while_a_request_runs_long():
    here, there = Gate(), Gate()
    with our_pair(Workshop(there=there)) as (client, _):
        running = rpyc.async_(client.root.eval("lambda back: back()"))(here)
        here.wait_reached()
        result = rpyc.async_(client.root.eval("there"))()
        there.wait_reached()
        seen, is_over = [], threading.Event()

        def ask(result):
            try:
                seen.append(client.root.eval("6 * 7"))
            finally:
                is_over.set()

        result.add_callback(ask)
        there.open()
        result.wait()
        here.open()
        running.wait()
        assert is_over.wait(DEADLINE_S)
        assert seen == [42]


def test_callbacks_of_replies_run_while_nothing_else_comes():
    with our_pair() as (client, _):
        ran = threading.Event()
        result = rpyc.async_(client.root.eval)("1")
        result.add_callback(lambda result: ran.set())
        assert ran.wait(DEADLINE_S)


@pytest.mark.parametrize("patience_s", [0, 10 * DEADLINE_S])
def test_traffic_in_both_directions_stays_right_however_often_the_reader_changes(monkeypatch, patience_s):
    monkeypatch.setattr(reading, "PATIENCE_S", patience_s)
    with our_pair(timeout_s=None) as (client, _):
        client.root.execute("class Thing:\n    def __init__(self, number): self.number = number")
        client.root.execute("def down(depth, back): return 0 if depth == 0 else back(depth - 1, down)")
        make, down, evaluate = (client.root.eval(name) for name in ("Thing", "down", "eval"))

        def back(depth, go_on):
            return 1 if depth == 0 else go_on(depth - 1, back) + 2

        def work(seed):
            chance = random.Random(seed)
            for _ in range(60):
                number = chance.randrange(1000)
                assert make(number).number == number
                assert down(2 * chance.randrange(4), back) % 2 == 0
                results = [rpyc.async_(evaluate)(f"{number} + {step}") for step in range(chance.randrange(20))]
                assert [result.value for result in results] == [number + step for step in range(len(results))]
                client.ping()

        working = [Serving(lambda seed=seed: work(seed)) for seed in range(6)]
        for each in working:
            each.join()
            assert each.error is None


@pytest.mark.parametrize("side", ["near", "far"])
@pytest.mark.parametrize("moment", ["server reads", "nobody reads", "standby reads"])
def test_a_cut_ends_everything_whoever_reads(side, moment):
    here, there = Gate(), Gate()
    with our_pair(Workshop(there=there)) as (client, server):
        if moment == "server reads":
            running = rpyc.async_(client.root.eval("there"))()
            there.wait_reached()
        else:
            running = rpyc.async_(client.root.eval("lambda back: back()"))(here)
            here.wait_reached()
        if moment == "standby reads":
            client.ping()
            wait_until(lambda: client._reading._reader == client._standby.ident)
        (client if side == "near" else server)._channel.close()
        with pytest.raises(ConnectionLost):
            _ = running.value
        client._standby.join(DEADLINE_S)
        assert not client._standby.is_alive()
        here.open()
        there.open()
        client._server.join(DEADLINE_S)
        assert not client._server.is_alive()


@pytest.mark.parametrize("side", ["near", "far"])
def test_a_cut_ends_the_wait_of_who_reads_its_own_reply(side):
    there = Gate()
    with our_pair(Workshop(there=there)) as (client, server):
        calling = Serving(client.root.eval("there"))
        there.wait_reached()
        wait_until_blocked(calling)
        (client if side == "near" else server)._channel.close()
        calling.join()
        assert isinstance(calling.error, ConnectionLost)
        there.open()


def test_a_cut_at_any_moment_of_traffic_ends_everything(monkeypatch):
    monkeypatch.setattr(reading, "PATIENCE_S", 0)
    for count in range(1, 40):
        with our_pair(timeout_s=None) as (client, _):
            call = client.root.eval("lambda back: back()")
            numbers = itertools.count()

            def cut(numbers=numbers, count=count, client=client):
                if next(numbers) == count:
                    client._channel.close()
                return 1

            def work(call=call, cut=cut):
                while True:
                    call(cut)

            working = [Serving(work) for _ in range(3)]
            for each in working:
                each.join()
                assert isinstance(each.error, ConnectionLost)


# ---- Ctrl-C ----


def test_stock_hangs_after_ctrl_c_while_a_frame_is_read():
    with stock_pair() as (client, _):
        root = client.root
        read = client._channel.stream.read
        reads = []

        def read_and_be_interrupted(count):
            data = read(count)
            reads.append(count)
            if len(reads) == 1:
                raise KeyboardInterrupt
            return data

        client._channel = Interrupted(client._channel, read_and_be_interrupted)
        with pytest.raises(KeyboardInterrupt):
            root.eval("1")
        watchdog = threading.Timer(0.5, client._channel.channel.close)
        watchdog.start()
        client._config["sync_request_timeout"] = 0.1
        with pytest.raises(Exception):  # noqa: B017 - which one depends on where the stream has got to
            root.eval("2")
        watchdog.join()


class Interrupted:
    """A stock channel whose reads are replaced."""

    def __init__(self, channel, read):
        self.channel = channel
        self.stream = channel.stream
        self._read = read

    def __getattr__(self, name):
        return getattr(self.channel, name)

    def recv(self):
        header = self._read(5)
        length, _ = self.channel.FRAME_HEADER.unpack(header)
        return self._read(length + 1)[:-1]


@MAY_BE_SWALLOWED
@pytest.mark.parametrize("server", [stock_server, our_server])
def test_ctrl_c_anywhere_in_a_call_leaves_the_stream_in_step(server):
    with server() as (sock, _), our_client(sock) as client:
        client.root.execute("class Thing:\n    def double(self, number): return Thing(), number * 2")
        thing = client.root.eval("Thing()")
        for place in interrupt_everywhere(lambda: thing.double(21)):
            assert thing.double(place)[1] == 2 * place
        assert place > 50


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_in_opening_is_what_its_user_sees_and_leaves_no_thread():
    before = set(threading.enumerate())
    opened = []

    def open_it(near):
        opened.append(connect_peer(near, rpyc.VoidService, name="opening", config=CLIENT_CONFIG))

    for place in itertools.count(1):
        near, far = socket_pair()
        with closing_all(near, far):
            was_hit = interrupt_at(place, lambda near=near: open_it(near))
            for connection in opened:
                connection.close()
            opened.clear()
        wait_until(lambda: set(threading.enumerate()) <= before)
        if not was_hit:
            break
    assert place > 20


@MAY_BE_SWALLOWED
def test_ctrl_c_anywhere_in_closing_still_allows_to_close():
    def open_and_close(again):
        with our_server() as (sock, _), our_client(sock) as client:
            again(client.close)

    places = 0
    is_done = False
    while not is_done:
        places += 1
        done = []

        def interrupt(close, places=places, done=done):
            done.append(not interrupt_at(places, close))

        open_and_close(interrupt)
        is_done = done == [True] or places > 40
    assert places > 5


# ---- a peer that takes nothing ----


def test_requests_wait_for_a_peer_that_takes_nothing_and_fail_with_the_connection():
    near, far = socket_pair()
    with closing_all(far), our_client(near, timeout_s=0.2) as client:
        while not client._outbox.is_full:
            client.async_request(consts.HANDLE_PING, bytes(1_000_000))
        with pytest.raises(CallTimeout, match="taken too little"):
            client.async_request(consts.HANDLE_PING, b"", timeout=0.01)
        with pytest.raises(CallTimeout):
            client.sync_request(consts.HANDLE_PING, b"")
        blocked = Serving(lambda: client.async_request(consts.HANDLE_PING, b""))
        wait_until_blocked(blocked)
        far.close()
        blocked.join()
        assert isinstance(blocked.error, ConnectionLost)


def test_giving_references_back_never_waits_for_the_peer():
    with our_server(Workshop()) as (sock, server), our_client(sock) as client:
        client.root.execute("class Thing: pass")
        things = [client.root.eval("Thing()") for _ in range(10)]
        client._outbox._queued_bytes = 1 << 40
        del things
        client._outbox._queued_bytes = 0
        wait_until(lambda: len(server._local_objects) <= 2)


def test_a_flood_of_requests_is_held_back_not_hoarded():
    gate = Gate()
    with our_pair(Workshop(gate=gate)) as (client, server):
        take = rpyc.async_(client.root.eval("lambda data: len(data)"))
        wait = rpyc.async_(client.root.eval("gate"))
        wait()
        gate.wait_reached()
        data = bytes(1_000_000)
        flood = []
        flooding = Serving(lambda: flood.extend(take(data) for _ in range(100)))
        wait_until_blocked(flooding)
        assert server._jobs._queued_bytes < 20_000_000
        gate.open()
        flooding.join()
        assert [result.value for result in flood] == [1_000_000] * 100


def test_threads_bear_the_name_of_their_connection_and_end_with_it():
    with our_pair() as (client, _):
        names = {thread.name for thread in threading.enumerate()}
        assert {"client-reader", "client-writer", "client-requests"} <= names
        assert {"server-reader", "server-writer", "server-requests"} <= names
        assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("client-"))
        client.close()  # which waits for them, but not for ever
        theirs = {"client-reader", "client-writer", "client-requests"}
        wait_until(lambda: not {thread.name for thread in threading.enumerate()} & theirs)


# ---- the interpreter lock ----


def test_who_expects_a_request_gets_the_lock_sooner_until_it_has_come(monkeypatch, intervals):
    monkeypatch.setattr(reading, "PATIENCE_S", 10 * DEADLINE_S)
    with our_pair() as (client, _):
        evaluate = client.root.eval
        for _ in range(3):
            assert evaluate("__import__('sys').getswitchinterval()") == pytest.approx(INTERVAL_S)
            wait_until(lambda: sys.getswitchinterval() == pytest.approx(EAGER_S, abs=2e-6))
    assert sys.getswitchinterval() == pytest.approx(INTERVAL_S)


def test_a_quiet_connection_leaves_the_switch_interval_as_it_is(intervals):
    with our_pair() as (client, _):
        assert client.root.eval("1 + 1") == 2
        wait_until(lambda: intervals and sys.getswitchinterval() == pytest.approx(INTERVAL_S))
        assert intervals[0] == pytest.approx(EAGER_S, abs=2e-6)


def test_who_mostly_asks_leaves_the_switch_interval_alone(intervals):
    with stock_server() as (sock, _), our_client(sock) as client:
        assert client.root.eval("(lambda back: back())")(lambda: 7) == 7
    assert not intervals
