"""Lazy values: what is recorded, how it is shown, and what Python may not ask of them."""

import asyncio
import copy
import math
import operator
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.client.lazy import Lazy, LazyNames, chain_of
from rpyc_kernel.errors import ChainFailed, ExecutionError, RequestError
from rpyc_kernel.worker.chains import StepFailed, run_chain

LINKS = 20_000


class Evaluator:
    """Does chains here and now, in a namespace of its own."""

    def __init__(self, **namespace):
        self.namespace = namespace
        self.asked = 0

    def get(self, chain, *, timeout):
        self.asked += 1
        try:
            return run_chain(*chain.compile(), self.namespace)
        except StepFailed as failed:
            error = ExecutionError(type(failed.error).__name__, str(failed.error))
            raise chain.explain(failed.place, error) from failed.error


@pytest.fixture
def evaluator():
    return Evaluator(seven=7, text="abc", numbers=[3, 1, 2], box={"get": len, "a b": {"c": 1}})


@pytest.fixture
def lazy(evaluator):
    return LazyNames(evaluator)


OPERATIONS = {
    "seven + 2": lambda x: x + 2,
    "2 - seven": lambda x: 2 - x,
    "seven * seven": lambda x: x * x,
    "100 / seven": lambda x: 100 / x,
    "seven // 2": lambda x: x // 2,
    "20 % seven": lambda x: 20 % x,
    "seven ** 2": lambda x: x**2,
    "2 ** seven": lambda x: 2**x,
    "seven << 1": lambda x: x << 1,
    "1000 >> seven": lambda x: 1000 >> x,
    "seven & 3": lambda x: x & 3,
    "3 ^ seven": lambda x: 3 ^ x,
    "seven | 8": lambda x: x | 8,
    "-seven": lambda x: -x,
    "+seven": lambda x: +x,
    "~seven": lambda x: ~x,
    "seven < 8": lambda x: x < 8,
    "seven <= 6": lambda x: x <= 6,
    "seven == 7": lambda x: x == 7,
    "seven != 7": lambda x: x != 7,
    "seven > 6": lambda x: x > 6,
    "seven >= 8": lambda x: x >= 8,
    "divmod(seven, 2)": lambda x: divmod(x, 2),
    "divmod(20, seven)": lambda x: divmod(20, x),
    "pow(seven, 2, 5)": lambda x: pow(x, 2, 5),
    "abs(-seven)": lambda x: abs(-x),
    "round(seven / 2, 1)": lambda x: round(x / 2, 1),
    "(seven + 1) * -(seven - 2)": lambda x: (x + 1) * -(x - 2),
    "(seven ** 2) ** (seven - 5)": lambda x: (x**2) ** (x - 5),
    "2 ** -seven + 1": lambda x: 2**-x + 1,
    "(-seven) ** 2": lambda x: (-x) ** 2,
    "(-seven).bit_length()": lambda x: (-x).bit_length(),
    "seven - (seven - 1)": lambda x: x - (x - 1),
    "(seven == 7) == True": lambda x: (x == 7) == True,  # noqa: E712 - the operator is what is tried
    "seven.bit_length().real": lambda x: x.bit_length().real,
}


@pytest.mark.parametrize("shown", OPERATIONS)
def test_operators_are_recorded_done_and_shown_as_they_would_be_typed(shown, lazy, evaluator):
    recorded = OPERATIONS[shown](lazy.seven)
    assert evaluator.asked == 0
    assert repr(recorded) == f"<lazy {shown}>"
    assert recorded.get() == eval(shown, {"seven": 7}) == OPERATIONS[shown](7)
    assert evaluator.asked == 1


def combine(children):
    """Two lazy values, or one, put together by any operator."""
    unary = [operator.neg, operator.pos, operator.invert, abs, lambda x: x.real, lambda x: x.bit_length()]
    binary = [
        operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor, operator.lt, operator.eq,
        lambda x, y: x ** abs(y % 3), lambda x, y: 2 - x * y, lambda x, y: x << (y & 3), lambda x, y: x % (abs(y) + 1),
    ]  # fmt: skip
    return st.one_of(
        st.builds(lambda do, x: do(x), st.sampled_from(unary), children),
        st.builds(lambda do, x, y: do(x, y), st.sampled_from(binary), children, children),
    )


NUMBERS = Evaluator(seven=7, minus=-3)
VALUES = LazyNames(NUMBERS)


@given(st.recursive(st.sampled_from([VALUES.seven, VALUES.minus]), combine, max_leaves=8))
def test_what_is_shown_would_give_the_same_if_it_were_typed(chain):
    shown = str(chain_of(chain, NUMBERS))
    assert "…" in shown or eval(shown, dict(NUMBERS.namespace)) == chain.get()


def test_matrices_are_multiplied_from_both_sides(lazy, evaluator):
    class Matrix:
        def __matmul__(self, other):
            return "left", other

        def __rmatmul__(self, other):
            return "right", other

    evaluator.namespace["matrix"] = Matrix()
    assert (lazy.matrix @ 2).get() == ("left", 2)
    assert (2 @ lazy.matrix).get() == ("right", 2)


def test_attributes_items_and_calls_are_shown_as_they_would_be_typed(lazy):
    chain = lazy.a.b[1][2:][: "x" : lazy.n][1, ::2]["k", 3](1, "two", *[None], c=[lazy.n, (1,)], d={"k": [1.5]})
    assert repr(chain) == "<lazy a.b[1][2:][:'x':n][1, ::2]['k', 3](1, 'two', None, c=[n, (1,)], d={'k': [1.5]})>"
    odd = lazy["any name"].f({1: lazy.n}, {2}, frozenset(), slice(1, None), (lazy.n,), print)
    assert repr(odd) == (
        "<lazy globals()['any name'].f({1: n}, {2}, frozenset({}), slice(1, None, None), (n,), "
        "<builtin_function_or_method>)>"
    )


def test_lazy_values_are_arguments_keys_and_operands_also_inside_of_containers(lazy):
    seven, last = lazy.seven, lazy.numbers[-1]
    assert lazy.numbers[last - 1].get() == 1
    assert lazy.text[last - 2 :].get() == "abc"[0:]
    arguments = [seven, (1, seven), {"k": [seven]}, {1}, frozenset({2}), slice(seven, None)]
    assert lazy.list(arguments).get() == [7, (1, 7), {"k": [7]}, {1}, frozenset({2}), slice(7, None)]
    assert lazy.dict([(seven, 1)], a=seven).get() == {7: 1, "a": 7}


def test_what_is_recorded_does_not_change_with_what_was_passed(lazy):
    numbers = [1, 2]
    chain = lazy.sum(numbers)
    numbers.append(3)
    assert chain.get() == 3


def test_what_two_operands_share_is_done_once(lazy, evaluator):
    calls = []
    evaluator.namespace["call"] = lambda: calls.append(1) or 1
    shared = lazy.call()
    assert (shared + shared).get() == 2
    assert calls == [1]
    doubled = lazy.seven
    for _ in range(200):
        doubled = doubled + doubled
    assert doubled.get() == 7 << 200
    assert len(repr(doubled)) < 1000


def test_a_chain_is_done_in_the_order_in_which_python_would_do_it(lazy, evaluator):
    order = []
    evaluator.namespace["note"] = lambda item: order.append(item) or len
    lazy.note(lazy.note(1)([lazy.note(2), lazy.note(3)])).get()
    assert order == [1, 2, 3, 2]


def test_a_value_is_let_go_when_nothing_needs_it_any_more(lazy, evaluator):
    class Counted:
        alive = most = 0

        def __init__(self):
            Counted.alive += 1
            Counted.most = max(Counted.most, Counted.alive)

        def __del__(self):
            Counted.alive -= 1

        def next(self):
            return Counted()

    evaluator.namespace["Counted"] = Counted
    chain = lazy.Counted()
    for _ in range(50):
        chain = chain.next()
    chain.get()
    assert Counted.most == 2


def test_a_chain_of_any_length_is_recorded_shown_done_and_let_go(lazy):
    in_a_row, in_each_other = lazy.seven, lazy.seven
    for _ in range(LINKS):
        in_a_row = in_a_row.real
        in_each_other = lazy.int(in_each_other)
    assert in_a_row.get() == in_each_other.get() == 7
    assert len(repr(in_a_row)) < 1000
    assert len(repr(in_each_other)) < 1000


FAILURES = {
    "nothing": lambda lazy: lazy.nothing,
    "nothing of nothing.x": lambda lazy: lazy.nothing.x,
    ".x of text.x.y": lambda lazy: lazy.text.x.y,
    ".x of text».x«.x": lambda lazy: lazy.text.x.x,
    ".index('z') of text.index('z').real": lambda lazy: lazy.text.index("z").real,
    "['k'] of box['k']()": lambda lazy: lazy.box["k"](),
    "['get']() of box['get']().real": lambda lazy: lazy.box["get"]().real,
    "(1) of text.upper()(1)": lambda lazy: lazy.text.upper()(1),
    "+ 1 of len(text + 1)": lambda lazy: lazy.len(lazy.text + 1),
    "+ text of 1 + text": lambda lazy: 1 + lazy.text,
    "-text of len(-text)": lambda lazy: lazy.len(-lazy.text),
    "abs(text) of print(1, abs(text))": lambda lazy: lazy.print(1, abs(lazy.text)),
    "int(text, base=seven) of list([int(text, base=seven), 1])": lambda lazy: lazy.list(
        [lazy.int(lazy.text, base=lazy.seven), 1]
    ),
    ".x of list([1, {'k': (text.x,)}])": lambda lazy: lazy.list([1, {"k": (lazy.text.x,)}]),
}


@pytest.mark.parametrize("where", FAILURES)
def test_an_error_names_the_link_that_failed(where, lazy):
    with pytest.raises(ChainFailed) as raised:
        FAILURES[where](lazy).get()
    cause = raised.value.__cause__
    assert str(raised.value) == f"lazy chain failed at {where}: {type(cause).__name__}: {cause}"
    assert raised.value.ename == type(cause).__name__


def test_an_error_far_inside_a_long_chain_shows_what_is_around_its_link(lazy):
    chain = lazy.seven
    for _ in range(LINKS):
        chain = chain.real
    chain = chain.nothing
    for _ in range(LINKS):
        chain = chain.imag
    with pytest.raises(ChainFailed) as raised:
        chain.get()
    assert raised.value.link == ".nothing"
    assert ".real.real.nothing.imag.imag" in raised.value.chain
    assert len(raised.value.chain) < 1000


def test_a_link_too_long_to_be_shown_whole_is_still_the_one_that_is_named(lazy):
    with pytest.raises(ChainFailed) as raised:
        lazy.text.index(*["z" * 50] * 50).real.get()
    assert raised.value.link.startswith(".index('zzz")
    assert raised.value.chain.startswith("text.index('zzz")
    assert len(raised.value.chain) < 1000


def test_a_place_that_no_step_has_is_no_answer(lazy, evaluator):
    chain = chain_of(lazy.seven, evaluator)
    for place in (1, -1, "0", True):
        with pytest.raises(RequestError, match="answer is none"):
            chain.explain(place, ExecutionError("E", ""))


@pytest.mark.parametrize("name", ["get", "netref", "pull"])
def test_the_few_names_of_its_own_are_reached_by_getattr_and_as_variables(name, lazy, evaluator):
    evaluator.namespace[name] = 5
    assert getattr(lazy, name).get() == lazy[name].get() == 5
    evaluator.namespace["thing"] = type("Thing", (), {name: lambda self, key: key * 2})()
    assert lazy.getattr(lazy.thing, name)(4).get() == 8
    with pytest.raises(TypeError, match=rf"kernel\.lazy\.getattr\(value, '{name}'\)"):
        getattr(lazy.thing, name)(4)
    assert dir(lazy.thing) == ["get", "netref", "pull"]


ANSWERS_NOW = [
    bool, len, iter, next, list, tuple, reversed, int, float, complex, bytes, hash, math.floor,
    lambda x: x and 1, lambda x: not x, lambda x: 1 < x < 3, lambda x: 1 in x, lambda x: x in [1, 2], lambda x: {x},
    lambda x: {x: 1}, lambda x: [1, 2][x], lambda x: [*x], lambda x: print(*x), lambda x: f"{x:5}", lambda x: "ab"[x:],
    pickle.dumps,
]  # fmt: skip


@pytest.mark.parametrize("ask", ANSWERS_NOW)
def test_what_python_wants_answered_at_once_is_refused_with_what_to_do(ask, lazy, evaluator):
    with pytest.raises(TypeError, match=r"a lazy value is not there yet.*(\.get\(\)|\.pull\(\))"):
        ask(lazy.seven)
    assert evaluator.asked == 0


def test_a_with_statement_is_refused(lazy):
    with pytest.raises(TypeError, match="not there yet"), lazy.seven:
        pass


def test_lazy_values_and_names_are_only_read(lazy):
    def change(action, said):
        with pytest.raises(TypeError, match=said):
            exec(action, {"lazy": lazy})

    change("lazy.seven.x = 1", "setattr")
    change("del lazy.seven.x", "delattr")
    change("lazy.seven[0] = 1", "__setitem__")
    change("del lazy.seven[0]", "__delitem__")
    change("lazy.seven[0] += 1", "__setitem__")
    change("lazy.x = 1", r"kernel\.namespace")
    change("lazy['x'] = 1", r"kernel\.namespace")
    change("del lazy.x", r"kernel\.namespace")
    change("del lazy['x']", r"kernel\.namespace")
    change("lazy.seven += 1", r"kernel\.namespace")


def test_the_names_are_not_counted_or_listed(lazy):
    with pytest.raises(TypeError, match=r"kernel\.namespace"):
        iter(lazy)
    with pytest.raises(TypeError, match=r"kernel\.namespace"):
        assert "seven" in lazy
    with pytest.raises(TypeError, match="is none"):
        lazy[1]
    assert dir(lazy) == []


def test_names_of_python_itself_are_not_taken_for_recorded_ones(lazy):
    assert not hasattr(lazy.seven, "__array__")
    assert not hasattr(lazy, "__wrapped__")
    assert lazy["__import__"]("math").factorial(5).get() == 120
    assert lazy.getattr(lazy.text, "__len__")().get() == 3


def test_a_copy_of_a_lazy_value_is_itself(lazy):
    chain = lazy.seven.real
    assert copy.copy(chain) is chain
    assert copy.deepcopy([chain])[0] is chain


def test_a_lazy_value_adds_itself_to_an_array_as_a_whole(lazy):
    numpy = pytest.importorskip("numpy")
    assert (numpy.arange(3) + lazy.seven).get().tolist() == [7, 8, 9]


def test_what_cannot_be_sent_is_refused_when_it_is_recorded(lazy, evaluator):
    endless = []
    endless.append(endless)
    for argument in ("\ud800", 1 << 20_000, endless, lazy, LazyNames(Evaluator()).seven):
        with pytest.raises(RequestError):
            lazy.print([argument])
    with pytest.raises(RequestError):
        lazy["\ud800"]
    with pytest.raises(RequestError):
        getattr(lazy.seven, "\ud800")
    assert evaluator.asked == 0


def test_a_step_that_ends_the_program_is_an_error_like_any_other(lazy):
    with pytest.raises(ChainFailed) as raised:
        lazy.exit(3).real.get()
    assert raised.value.ename == "SystemExit"


def test_an_evaluator_may_answer_with_what_is_awaited():
    class Awaited(Evaluator):
        async def get(self, chain, *, timeout):
            return super().get(chain, timeout=timeout)

    class AwaitedLazy(Lazy):
        __slots__ = ()

        def __await__(self):
            return self.get().__await__()

    async def use():
        lazy = LazyNames(Awaited(seven=7), AwaitedLazy)
        return await (1 + lazy.seven).real, await lazy.seven.get()

    assert asyncio.run(use()) == (8, 7)


def test_a_container_that_stands_in_several_places_is_one_there_too_and_sent_once(lazy, evaluator):
    shared = [1]
    same = lazy["list"]([shared, {"k": shared}]).get()
    assert same[0] is same[1]["k"]
    for _ in range(20):
        shared = [shared, shared]
    chain = chain_of(shared, evaluator)
    assert len(chain.compile()[0]) < 100
