"""What users of RPyC know, on a kernel; futures of live objects; how objects, classes and clients come and go."""

import asyncio
import concurrent.futures
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import rpyc
from rpyc.utils import classic
from rpyc.utils.helpers import buffiter, restricted

import rpyc_kernel
from rpyc_kernel import ConnectionLost, ExecutionError, KernelClient, RequestError
from tests.support.processes import HAS_PROC
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60

DEFINITIONS = """
import contextlib, threading, time

class Point:
    def __init__(self, x, y): self.x, self.y = x, y
    def __eq__(self, other): return (self.x, self.y) == (other.x, other.y)
    def __lt__(self, other): return self.x < other.x
    def __hash__(self): return hash((self.x, self.y))
    def __len__(self): return 2
    def __getitem__(self, place): return (self.x, self.y)[place]
    def __call__(self, factor): return Point(self.x * factor, self.y * factor)
    def move(self, dx=0): self.x += dx; return self
    @property
    def norm(self): return (self.x ** 2 + self.y ** 2) ** 0.5

point = Point(3, 4)
entered = []

@contextlib.contextmanager
def section(name):
    entered.append(name)
    try: yield name.upper()
    except ValueError as error: entered.append(str(error))
    finally: entered.append('left')

def count(limit):
    for number in range(limit): yield number

def later(function, *arguments):
    threading.Thread(target=function, args=arguments).start()

gate = threading.Event()
"""


@pytest.fixture
def prepared(kernel: KernelClient) -> KernelClient:
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    return kernel


def open_gate(kernel: KernelClient) -> None:
    """Not through the objects connection, whose requests come one after the other."""
    kernel.execute("gate.set()", timeout=DEADLINE_S)


# What users of RPyC know


def test_the_connection_has_what_classic_connections_have(prepared):
    connection = prepared.objects
    assert connection.modules.os.getpid() == connection.modules["os"].getpid() == prepared.status()["worker_pid"]
    assert "json" in connection.modules
    assert "no_such_module" not in connection.modules
    with pytest.raises(AttributeError):
        connection.modules.no_such_module  # noqa: B018 - the attribute is what is asked for
    assert connection.builtins.len("abc") == connection.builtin.len("abc") == 3
    assert connection.eval("point.x + 1") == 4
    connection.execute("answer = 42")
    assert connection.namespace["answer"] == prepared.namespace["answer"] == 42
    connection.namespace["answer"] = 43
    assert prepared.execute("answer", timeout=DEADLINE_S).value == 43


def test_a_function_is_teleported(prepared):
    def where(add):
        import os

        return os.getpid() + add

    assert prepared.objects.teleport(where)(1) == prepared.status()["worker_pid"] + 1


def test_asynchronous_and_timed_calls(prepared):
    wait = rpyc.async_(prepared.namespace.gate.wait)(DEADLINE_S)
    assert not wait.ready
    open_gate(prepared)
    wait.wait()
    assert (wait.ready, wait.error, wait.value) == (True, False, True)
    prepared.execute("gate.clear()", timeout=DEADLINE_S)
    with pytest.raises(TimeoutError):
        rpyc.timed(prepared.namespace.gate.wait, 0.05)(DEADLINE_S).value  # noqa: B018 - it waits
    open_gate(prepared)
    assert prepared.eval("6 * 7") == 42


def test_a_class_is_true_whatever_its_instances_are(prepared):
    prepared.execute("class Empty(list):\n    def __bool__(self): return False\nempty = Empty()", timeout=DEADLINE_S)
    assert prepared.namespace.Empty
    assert not prepared.namespace.empty
    with pytest.raises(TypeError):
        len(prepared.namespace.Empty)
    assert prepared.namespace.Empty.__len__(prepared.namespace.empty) == 0


def test_iterators_and_generators(prepared):
    count = prepared.namespace.count
    assert list(count(5)) == list(buffiter(count(5), chunk=2)) == [0, 1, 2, 3, 4]
    numbers = iter(count(2))
    assert (next(numbers), next(numbers), next(numbers, "end")) == (0, 1, "end")


def test_an_iterator_of_the_client_is_read_in_the_kernel(prepared):
    assert prepared.objects.builtins.sum(number for number in range(5)) == 10
    assert list(prepared.objects.builtins.map(str.upper, ["a", "b"])) == ["A", "B"]


def test_context_managers(prepared):
    with prepared.namespace.section("a") as name:
        assert name == "A"
    with prepared.namespace.section("b"):
        raise ValueError("wrong")
    assert prepared.eval("tuple(entered)") == ("a", "left", "b", "raised on the other side of the connection", "left")
    with pytest.raises(KeyError), prepared.namespace.section("c"):
        raise KeyError
    assert prepared.eval("entered[-1]") == "left"


def test_operators_attributes_and_items(prepared):
    point = prepared.namespace.point
    same, other = prepared.eval("Point(3, 4)"), prepared.eval("Point(5, 0)")
    assert (point == same, point != other, point < other, hash(point) == hash(same)) == (True, True, True, True)
    assert (len(point), point[1], point.norm, point(2).x) == (2, 4, 5.0, 6)
    point.y = 0
    assert (prepared.eval("point.y"), point.move(dx=7).x) == (0, 10)
    assert {point: 1}[point] == 1
    del point.y
    with pytest.raises(AttributeError):
        point.y  # noqa: B018 - the attribute is what is asked for


def test_isinstance_knows_remote_and_builtin_classes(prepared):
    point_class = prepared.namespace.Point
    assert isinstance(prepared.namespace.point, point_class)
    assert not isinstance(prepared.eval("[1]"), point_class)
    assert isinstance(prepared.eval("[1]"), list)
    assert isinstance(prepared.eval("{}"), dict)


def test_a_worker_that_cannot_load_what_serves_its_objects_says_so_at_once(kernel):
    with rpyc_kernel.start("beside", engine="plain", timeout=DEADLINE_S) as broken:
        modules = ["rpyc_kernel.worker.objects", "rpyc_kernel.worker.bulk"]
        broken.execute(f"import sys; sys.modules.update(dict.fromkeys({modules}))", timeout=DEADLINE_S)
        reason = "the worker cannot serve this connection: ModuleNotFoundError: import of rpyc_kernel.worker.{} halted"
        for ask in (
            lambda: broken.eval("6 * 7"),
            lambda: broken.objects.builtins,
            lambda: broken.namespace["x"],
            lambda: broken.execute("object()", timeout=DEADLINE_S).value,
        ):
            with pytest.raises(ConnectionLost, match=reason.format("objects")):
                ask()
        with pytest.raises(ConnectionLost, match=reason.format("bulk")):
            broken.pull("6 * 7")
        for name in modules:
            broken.execute(f"del sys.modules[{name!r}]", timeout=DEADLINE_S)
        assert broken.eval("6 * 7") == broken.pull("6 * 7") == 42
        broken.shutdown(timeout=DEADLINE_S)


def test_files_of_the_users_do_not_go_before_what_the_kernel_loads(kernel, tmp_path):
    for name in ("random", "pickle", "zlib", "uuid", "tempfile", "glob", "difflib"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a file of the user')")
    (tmp_path / "turtle.py").write_text("where = 'beside the user'")
    with rpyc_kernel.start("beside", engine="plain", cwd=tmp_path, timeout=DEADLINE_S) as shadowed:
        assert [item.text for item in shadowed.complete("impo").items] == ["import"]
        assert len(shadowed.eval("[1, 2]")) == 2
        shadowed.push(pushed=[1])
        assert shadowed.pull("pushed") == [1]
        assert shadowed.execute("import turtle; turtle.where", timeout=DEADLINE_S).value == "beside the user"
        shadowed.shutdown(timeout=DEADLINE_S)


def test_isinstance_of_two_clients_and_of_two_kernels(prepared):
    with rpyc_kernel.connect(prepared.name, timeout=DEADLINE_S) as beside:
        beside.eval("(gate, point)")  # it has met other classes first
        point_class = beside.namespace.Point
        assert isinstance(prepared.namespace.point, point_class)
        assert isinstance(beside.namespace.point, prepared.namespace.Point)
        assert not isinstance(prepared.namespace.gate, point_class)
        with rpyc_kernel.start("beside", engine="plain", timeout=DEADLINE_S) as other:
            other.execute(DEFINITIONS, timeout=DEADLINE_S)
            for name in ("point", "gate", "entered"):
                assert not isinstance(other.eval(name), point_class)
            assert not isinstance(prepared.namespace.point, other.namespace.Point)
            assert isinstance(other.eval("entered"), prepared.objects.builtins.list)
            other.shutdown(timeout=DEADLINE_S)


def test_restricted_objects_show_what_they_may(prepared):
    class Account:
        owner, pin = "Ada", 1234

    shown = restricted(Account(), ["owner"])
    assert prepared.objects.builtins.getattr(shown, "exposed_owner", None) or shown.owner == "Ada"
    with pytest.raises(AttributeError):
        shown.pin  # noqa: B018 - the attribute is what is asked for


def test_callbacks_into_the_client(prepared):
    assert sorted(prepared.objects.builtins.sorted([3, 1, 2], key=lambda number: -number)) == [1, 2, 3]
    assert list(prepared.objects.builtins.sorted([3, 1, 2], key=lambda number: -number)) == [3, 2, 1]


def test_callbacks_nest_to_any_depth(prepared):
    prepared.execute("def down(depth, back): return depth if depth == 0 else back(depth - 1, down)", timeout=DEADLINE_S)
    down = prepared.namespace.down

    def back(depth, go_on):
        return 0 if depth == 0 else go_on(depth - 1, back) + 1

    assert down(40, back) == 20


def test_callbacks_from_background_threads_of_the_kernel(prepared):
    heard = threading.Semaphore(0)
    names = []

    def hear(word):
        names.append(word)
        heard.release()

    for number in range(20):
        prepared.namespace.later(hear, f"word {number}")
    for _ in range(20):
        assert heard.acquire(timeout=DEADLINE_S)
    assert sorted(names) == sorted(f"word {number}" for number in range(20))


def test_a_callback_that_raises_raises_in_the_code_that_called_it(prepared):
    def fail():
        raise LookupError("not here")

    prepared.namespace["fail"] = fail
    run = prepared.execute(
        "try: fail()\nexcept LookupError as error: caught = str(error)\ncaught.splitlines()[0]", timeout=DEADLINE_S
    )
    assert run.value == "not here"


@pytest.mark.parametrize("name", ["ZeroDivisionError", "KeyError", "OSError", "StopIteration", "UnicodeDecodeError"])
def test_exceptions_are_of_their_own_builtin_class(prepared, name):
    arguments = {"UnicodeDecodeError": "'utf-8', b'x', 0, 1, 'why'"}.get(name, "'why'")
    prepared.execute(f"def fail(): raise {name}({arguments})", timeout=DEADLINE_S)
    with pytest.raises(getattr(__import__("builtins"), name), match="why"):
        prepared.namespace.fail()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes and groups came with Python 3.11")
def test_exceptions_bring_their_notes_cause_and_remote_traceback(prepared):
    code = (
        "def fail():\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError as error:\n"
        "        wrong = ValueError('wrong')\n"
        "        wrong.add_note('a note')\n"
        "        raise wrong from error\n"
    )
    prepared.execute(code, timeout=DEADLINE_S)
    with pytest.raises(ValueError, match="wrong") as caught:
        prepared.namespace.fail()
    assert "a note" in caught.value.__notes__
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "in fail" in caught.value._remote_tb


def test_files_are_copied_by_classic_helpers(prepared, tmp_path):
    (tmp_path / "here").write_bytes(bytes(range(256)) * 1000)
    classic.upload(prepared.objects, str(tmp_path / "here"), str(tmp_path / "there"))
    classic.download(prepared.objects, str(tmp_path / "there"), str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "here").read_bytes()


def test_values_are_obtained_and_delivered_by_classic_helpers(prepared):
    obtained = classic.obtain(prepared.eval("{'a': [1, 2]}"))
    assert (type(obtained), obtained) == (dict, {"a": [1, 2]})
    delivered = classic.deliver(prepared.objects, {"b": [3]})
    assert prepared.objects.builtins.type(delivered) is not dict
    prepared.namespace["delivered"] = delivered
    assert prepared.execute("type(delivered) is dict and delivered['b'] == [3]", timeout=DEADLINE_S).value is True


def test_standard_output_is_redirected_and_comes_back(prepared, capsys):
    with classic.redirected_stdio(prepared.objects):
        prepared.objects.modules.sys.stdout.write("seen here\n")
    assert capsys.readouterr().out == "seen here\n"
    assert prepared.execute("print('seen there')", timeout=DEADLINE_S).stdout == "seen there\n"


# Futures


def test_a_call_beside_the_queue_is_a_future(prepared):
    running = prepared.submit("gate.wait(60)")
    assert prepared.call_beside(prepared.namespace.point.move, dx=1).result(DEADLINE_S).x == 4
    (where,) = {prepared.call_beside(prepared.objects.modules.threading.current_thread).result(DEADLINE_S).name}
    assert where.startswith("objects")
    prepared.namespace.gate.set()
    running.result(DEADLINE_S)


def test_a_call_in_the_queue_is_a_future(prepared):
    running = prepared.submit("gate.wait(60)")
    call = prepared.submit_call(prepared.objects.modules.threading.current_thread)
    assert not call.done()
    prepared.namespace.gate.set()
    assert call.result(DEADLINE_S).name == "MainThread"
    running.result(DEADLINE_S)


@pytest.mark.parametrize("way", ["call_beside", "submit_call"])
def test_futures_of_calls_can_be_awaited(prepared, way):
    async def work() -> list[int]:
        begin = getattr(prepared, way)
        return list(await asyncio.gather(*(begin(prepared.namespace.point.__getitem__, place) for place in (0, 1))))

    assert asyncio.run(work()) == [3, 4]


def test_futures_of_calls_raise_what_the_call_raised(prepared):
    with pytest.raises(IndexError):
        prepared.call_beside(prepared.namespace.point.__getitem__, 2).result(DEADLINE_S)
    with pytest.raises(ExecutionError, match="IndexError"):
        prepared.submit_call(prepared.namespace.point.__getitem__, 2).result(DEADLINE_S)


def test_many_futures_are_waited_for_together(prepared):
    calls = [prepared.call_beside(prepared.objects.builtins.divmod, number, 7) for number in range(200)]
    done, missing = concurrent.futures.wait(calls, DEADLINE_S)
    assert (len(done), missing) == (200, set())
    assert [call.result() for call in calls] == [divmod(number, 7) for number in range(200)]


def test_a_cancelled_call_says_so_and_its_late_reply_harms_nothing(prepared):
    call = prepared.call_beside(prepared.namespace.gate.wait, DEADLINE_S)
    assert call.cancel()
    with pytest.raises(concurrent.futures.CancelledError):
        call.result(DEADLINE_S)
    open_gate(prepared)
    assert prepared.call_beside(prepared.objects.builtins.len, "abc").result(DEADLINE_S) == 3


def test_a_call_that_takes_too_long_says_so_and_still_comes(prepared):
    call = prepared.call_beside(prepared.namespace.gate.wait, DEADLINE_S)
    with pytest.raises(concurrent.futures.TimeoutError, match=r"not done within 0\.05 s; it goes on"):
        call.result(0.05)
    open_gate(prepared)
    assert call.result(DEADLINE_S) is True


def test_a_call_fails_at_once_when_its_worker_dies(prepared):
    call = prepared.call_beside(prepared.namespace.gate.wait, DEADLINE_S)
    os.kill(prepared.status()["worker_pid"], signal.SIGKILL)
    with pytest.raises(ConnectionLost):
        call.result(DEADLINE_S)


def test_only_live_objects_are_called_by_the_kernel(prepared):
    with pytest.raises(RequestError, match="is not a live object of a kernel but one of this process"):
        prepared.call_beside(len, "abc")


# Redefinition, lifetime, departure


def test_a_class_that_is_redefined_has_its_new_methods_at_once(prepared):
    for number in range(30):
        prepared.execute(
            f"class Thing:\n    def method_{number}(self): return {number}\nthing = Thing()", timeout=DEADLINE_S
        )
        thing = prepared.namespace.thing
        assert getattr(thing, f"method_{number}")() == number
        assert not hasattr(thing, f"method_{number - 1}")


def test_objects_are_freed_when_their_last_proxy_goes(prepared):
    prepared.execute("import weakref\nclass Big: pass\nmade = weakref.WeakSet()", timeout=DEADLINE_S)
    make = prepared.eval("lambda: (lambda thing: (made.add(thing), thing)[1])(Big())")
    things = [make() for _ in range(100)]
    assert prepared.eval("len(made)") == 100
    del things[50:]
    wait_until(lambda: prepared.eval("len(made)") == 50, DEADLINE_S)
    things.clear()
    wait_until(lambda: prepared.eval("len(made)") == 0, DEADLINE_S)


def test_a_sessions_references_go_with_its_connection(prepared, connect):
    prepared.execute("import weakref\nclass Big: pass\nmade = weakref.WeakSet()", timeout=DEADLINE_S)
    client = connect()
    held = [client.eval("(lambda thing: (made.add(thing), thing)[1])(Big())") for _ in range(10)]
    assert prepared.eval("len(made)") == 10
    client.close()
    wait_until(lambda: prepared.eval("len(made)") == 0, DEADLINE_S)
    with pytest.raises(ConnectionLost):
        held[0].anything  # noqa: B018 - the attribute is what is asked for


DEPARTING = """
import rpyc_kernel
kernel = rpyc_kernel.connect('demo', timeout=60)
class Thing:
    attribute = 1
kernel.namespace['foreign'] = Thing()
kernel.namespace['foreign_function'] = lambda: 1
kernel.execute('kept = [foreign, foreign_function]')
"""


def test_what_a_departed_client_left_behind_disturbs_nobody(prepared):
    subprocess.run([sys.executable, "-c", DEPARTING], check=True, timeout=DEADLINE_S)
    begun = time.monotonic()
    listed = {variable.name: variable for variable in prepared.variables(timeout=DEADLINE_S)}
    assert {"foreign", "foreign_function", "kept"} <= listed.keys()
    assert prepared.complete("foreign.", timeout=DEADLINE_S).matches is not None
    assert any(match == "foreign" for match in prepared.complete("forei", timeout=DEADLINE_S).matches)
    prepared.inspect("foreign", timeout=DEADLINE_S)
    for name in ("foreign", "foreign_function", "kept"):
        shown = prepared.submit(name)
        assert shown.exception(DEADLINE_S) is None
        assert shown.outputs[0].data["text/plain"]
    with pytest.raises(ExecutionError) as caught:
        prepared.execute("foreign.attribute", timeout=DEADLINE_S)
    assert caught.value.ename in ("ConnectionLost", "EOFError", "ReferenceError")
    assert time.monotonic() - begun < DEADLINE_S
    assert prepared.execute("6 * 7", timeout=DEADLINE_S).value == 42


BLOCKED_CALLBACK = """
import os, signal, threading, rpyc_kernel
kernel = rpyc_kernel.connect('demo', timeout=60)
def callback():
    os.kill(os.getpid(), signal.SIGKILL)
kernel.namespace['callback'] = callback
kernel.namespace.ready.set()
threading.Event().wait()
"""


def test_a_client_that_is_killed_inside_its_callback_is_an_error_in_the_code_that_called_it(prepared):
    prepared.execute("ready = threading.Event()", timeout=DEADLINE_S)
    with subprocess.Popen([sys.executable, "-c", BLOCKED_CALLBACK]) as client:
        prepared.eval("ready.wait(60)")
        run = prepared.submit("callback()")
        assert client.wait(DEADLINE_S) == -signal.SIGKILL
        with pytest.raises(ExecutionError, match="ConnectionLost"):
            run.result(DEADLINE_S)
    assert prepared.execute("6 * 7", timeout=DEADLINE_S).value == 42


def test_a_worker_that_is_killed_while_a_callback_runs_is_an_error_of_the_call(prepared):
    worker = prepared.status()["worker_pid"]
    prepared.execute("def call(function): return function() + 1", timeout=DEADLINE_S)
    call = prepared.namespace.call

    def callback():
        os.kill(worker, signal.SIGKILL)
        return 1

    with pytest.raises(ConnectionLost):
        call(callback)
    wait_until(lambda: prepared.status()["worker_pid"] not in (None, worker), DEADLINE_S)
    assert prepared.eval("6 * 7") == 42


HOSTILE = """
class Hostile:
    def fail(self, *arguments): raise RuntimeError('never')
    def __getattr__(self, name): raise RuntimeError('never')
    __repr__ = __eq__ = __hash__ = __len__ = __iter__ = __dir__ = fail
    __class__ = property(lambda self: 1 / 0)
    def __del__(self): raise RuntimeError('never')
def deep():
    value = ()
    for _ in range(5000): value = (value,)
    return value
def hostile(): return Hostile()
hard = {'number': lambda: 10 ** 5000, 'surrogate': lambda: '\\ud800', 'deep': deep}
"""


@pytest.mark.parametrize("name", ["number", "surrogate", "deep"])
def test_a_value_that_cannot_be_sent_is_an_error_for_that_call_alone(prepared, name):
    prepared.execute(HOSTILE, timeout=DEADLINE_S)
    connection = prepared.objects
    with pytest.raises(Exception) as caught:
        prepared.namespace.hard[name]()
    assert not isinstance(caught.value, ConnectionLost)
    assert prepared.eval("6 * 7") == 42
    assert prepared.objects is connection


@pytest.mark.parametrize("use", [repr, len, hash, dir, iter, lambda thing: thing == 1, lambda thing: thing.attribute])
def test_a_hostile_object_is_an_error_for_each_use_alone(prepared, use):
    prepared.execute(HOSTILE, timeout=DEADLINE_S)
    connection = prepared.objects
    with pytest.raises(Exception) as caught:
        use(prepared.namespace.hostile())
    assert not isinstance(caught.value, ConnectionLost)
    assert prepared.eval("6 * 7") == 42
    assert prepared.objects is connection


MEASURE = """
import ctypes, gc

class Thing:
    def __init__(self): self.load = bytes(1000)

def measure():
    gc.collect()
    if hasattr(ctypes.CDLL(None), 'malloc_trim'): ctypes.CDLL(None).malloc_trim(0)  # what is free is not held
    things = sum(type(thing) is Thing for thing in gc.get_objects())
    return things, int(open('/proc/self/statm').read().split()[1])
"""


@pytest.mark.skipif(not HAS_PROC, reason="memory is read from /proc")
@pytest.mark.own_kernel
def test_memory_is_back_after_many_proxies(prepared):
    def make_and_drop(count: int) -> int:
        """Have so many at a time, drop them, and return how many pages the worker holds."""
        for _ in range(count // 1000):
            calls = [prepared.call_beside(make) for _ in range(1000)]
            assert len({id(call.result(DEADLINE_S)) for call in calls}) == 1000
            del calls
        return wait_until(count_pages_without_things, 2 * DEADLINE_S, "the things to be gone")

    def count_pages_without_things() -> int:
        # Collected each time: what a thread of the connection still held at one collection is older at the next, and
        # a collection that comes by itself leaves the old alone.
        gc.collect()
        things, pages = measure()
        if things:
            print(f"{things} things, {len(connection.references._proxies)} proxies, {len(connection._pending)} replies")
        return 0 if things else pages

    prepared.execute(MEASURE, timeout=DEADLINE_S)
    make, measure, connection = prepared.namespace.Thing, prepared.namespace.measure, prepared.objects
    before = make_and_drop(8_000)  # the allocator has found its size by then
    after = make_and_drop(20_000)
    assert after < 1.08 * before


# While code runs


def test_the_switch_interval_is_a_setting(folders):
    with rpyc_kernel.start("other", switch_interval=0.002, timeout=DEADLINE_S) as kernel:
        assert kernel.eval("__import__('sys').getswitchinterval()") == pytest.approx(0.002)
        kernel.shutdown(timeout=DEADLINE_S)


@pytest.mark.own_kernel
@pytest.mark.parametrize("interval", [0, -1, 1e-9, 5, float("nan")])
def test_a_switch_interval_that_makes_no_sense_is_refused(folders, interval):
    with pytest.raises(RequestError, match=r"makes no sense; choose|must be a number of seconds"):
        rpyc_kernel.start("other", switch_interval=interval)
    assert rpyc_kernel.kernels() == []


def test_live_objects_are_used_while_code_spins(prepared):
    running = prepared.submit("while not gate.is_set(): pass")
    assert prepared.namespace.point.move(dx=1).x == 4
    assert prepared.namespace.point.__len__() == 2
    prepared.namespace.gate.set()
    running.result(DEADLINE_S)
