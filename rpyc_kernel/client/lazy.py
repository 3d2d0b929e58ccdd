"""Lazy values: attributes, items, calls and operators are recorded, and one question has all of it done in the kernel.

What is recorded is a `Chain`; who has it done is an `Evaluator`, which is asked once for each value that is wanted.
Nothing here connects, sends or waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.client.chains import Chain
from rpyc_kernel.core.chain_steps import BINARY, COMPARISONS, CONTAINERS, UNARY, Recorded
from rpyc_kernel.core.texts import require_encodable
from rpyc_kernel.errors import RequestError

_PLAIN: Final = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
_MAX_DEPTH: Final = 50
_MAX_BITS: Final = 10_000
_LATER: Final = "a lazy value is not there yet"


class Evaluator(Protocol):
    """Has a chain done in the kernel, in one round trip, and gives its value in the form that is wanted.

    What `Lazy` returns is what this returns: a value, or for programs of asyncio something to be awaited.
    """

    def get(self, chain: Chain, *, timeout: float | None) -> Any:
        """The value, if it is immutable and plain, else a netref of it."""

    def netref(self, chain: Chain, *, timeout: float | None) -> Any:
        """A netref of the value, whatever it is."""

    def pull(
        self,
        chain: Chain,
        *,
        timeout: float | None,
        progress: Callable[[int, int], None] | None,
        allow_pickle: bool,
        max_bytes: int | None,
    ) -> Any:
        """A copy of the value."""


@check_methods
class Lazy(Recorded):
    """A value that is still to be made: whatever is done to it is recorded, and nothing is sent.

    Attributes, items, calls, operators and comparisons give further lazy values, which can also be arguments, keys and
    operands, alone or in lists, tuples, sets, dicts and slices. Three names are its own, and have all of it done in the
    kernel at once, beside the queue, in one round trip: `get`, `netref` and `pull`. To record an attribute of such a
    name, or one of Python's own like ``__doc__``, use the builtin: ``kernel.lazy.getattr(value, "get")``.

    Arguments that are plain are copied, containers of the kinds above too. Netrefs of the kernel stay what they stand
    for there; of all else of this process the kernel gets a netref.

    Raises:
        TypeError: Python wants an answer at once, as for ``if``, ``for``, ``in`` or ``len()``.

    Example:
        >>> numbers = kernel.lazy.list(kernel.lazy.range(10))
        >>> chain = numbers[2:5].index(3) + 1
        >>> chain
        <lazy list(range(10))[2:5].index(3) + 1>
        >>> chain.get()
        2
    """

    __slots__ = ("__chain__", "__evaluator__", "__weakref__")
    __array_ufunc__ = None  # or an array would be added to it item by item

    def __init__(self, chain: Chain, evaluator: Evaluator) -> None:
        object.__setattr__(self, "__chain__", chain)
        object.__setattr__(self, "__evaluator__", evaluator)

    def get(self, /, *wrong: Any, timeout: float | None = None) -> Any:
        """Have the chain done now, and return its value.

        Args:
            *wrong: nothing; calling an attribute of this name is told apart by it, and refused.
            timeout: in seconds, None for the client's own.

        Returns:
            The value, if it is immutable and plain, else a netref of it, as of `KernelClient.eval`.

        Raises:
            ChainFailed: a link of the chain raised; it tells which.
            WorkerBusy: no answer came in time; the chain may go on.

        Example:
            >>> kernel.lazy.len(kernel.lazy.str(2 ** kernel.lazy.int("100"))).get()
            31
        """
        _refuse_attribute("get", wrong)
        return self.__evaluator__.get(self.__chain__, timeout=timeout)

    def netref(self, /, *wrong: Any, timeout: float | None = None) -> Any:
        """Have the chain done now, and return a netref of its value, even where that is plain.

        Args:
            *wrong: nothing; calling an attribute of this name is told apart by it, and refused.
            timeout: in seconds, None for the client's own.

        Raises:
            ChainFailed: a link of the chain raised; it tells which.
            WorkerBusy: no answer came in time; the chain may go on.

        Example:
            >>> text = kernel.lazy.str(1).zfill(5).netref()
            >>> type(text) is str, text.upper()
            (False, '00001')
        """
        _refuse_attribute("netref", wrong)
        return self.__evaluator__.netref(self.__chain__, timeout=timeout)

    def pull(
        self,
        /,
        *wrong: Any,
        timeout: float | None = 60.0,
        progress: Callable[[int, int], None] | None = None,
        allow_pickle: bool = False,
        max_bytes: int | None = None,
    ) -> Any:
        """Have the chain done now, and return a copy of its value, as `KernelClient.pull` does.

        A chain with arguments that go as references takes a round trip more.

        Args:
            *wrong: nothing; calling an attribute of this name is told apart by it, and refused.
            timeout: for how many seconds nothing may come.
            progress: called with the bytes that are through, and all there are.
            allow_pickle: take other values as a pickle. To open it runs code that the kernel chooses.
            max_bytes: refuse what is larger.

        Raises:
            ChainFailed: a link of the chain raised; it tells which.
            NotPlain: the value needs ``allow_pickle``.
            RequestError: the value cannot be pickled, is too large, or needs a library that is not here.
            CallTimeout: nothing came for ``timeout`` seconds.

        Example:
            >>> kernel.lazy.sorted([3, 1, 2]).pull()
            [1, 2, 3]
        """
        _refuse_attribute("pull", wrong)
        return self.__evaluator__.pull(
            self.__chain__, timeout=timeout, progress=progress, allow_pickle=allow_pickle, max_bytes=max_bytes
        )

    def __getattr__(self, name: str) -> Lazy:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"a lazy value records no {name}; kernel.lazy.getattr(value, {name!r}) does")
        require_encodable(name, "an attribute's name")
        return _record(self, "attribute", name, self)

    def __getitem__(self, key: Any) -> Lazy:
        return _record(self, "item", None, self, key)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Lazy:  # noqa: D102 - what a call is, every class says
        for name in kwargs:
            require_encodable(name, "an argument's name")
        return _record(self, "call", tuple(kwargs), self, *args, *kwargs.values())

    def __pow__(self, power: Any, modulus: Any = None) -> Lazy:
        if modulus is None:
            return _record(self, "operator", "pow", self, power)
        return _record(self, "function", "pow", self, power, modulus)

    def __rpow__(self, base: Any, modulus: Any = None) -> Lazy:  # with a modulus from Python 3.14
        if modulus is None:
            return _record(self, "operator", "pow", base, self)
        return _record(self, "function", "pow", base, self, modulus)

    def __divmod__(self, other: Any) -> Lazy:
        return _record(self, "function", "divmod", self, other)

    def __rdivmod__(self, other: Any) -> Lazy:
        return _record(self, "function", "divmod", other, self)

    def __abs__(self) -> Lazy:
        return _record(self, "function", "abs", self)

    def __round__(self, *digits: Any) -> Lazy:
        return _record(self, "function", "round", self, *digits)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise _cannot_set(f"kernel.lazy.setattr(value, {name!r}, …).get()")

    def __delattr__(self, name: str) -> NoReturn:
        raise _cannot_set(f"kernel.lazy.delattr(value, {name!r}).get()")

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise _cannot_set("kernel.lazy.getattr(value, '__setitem__')(key, …).get()")

    def __delitem__(self, key: object) -> NoReturn:
        raise _cannot_set("kernel.lazy.getattr(value, '__delitem__')(key).get()")

    def __copy__(self) -> Lazy:
        return self  # it never changes

    def __deepcopy__(self, memo: object) -> Lazy:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"{_LATER}, and belongs to this client: pickle what its .pull() returns")

    def __dir__(self) -> list[str]:
        return ["get", "netref", "pull"]

    def __repr__(self) -> str:
        return f"<lazy {self.__chain__}>"

    def __format__(self, spec: str) -> str:
        if spec:
            raise TypeError(f"{_LATER}: format what its .get() returns")
        return repr(self)


class LazyNames(Recorded):
    """The names of the kernel's namespace, and the builtins, as lazy values.

    Names can be attributes or items, like ``kernel.lazy.df`` or ``kernel.lazy["any name"]``; no name is reserved. Those
    that begin and end with two underscores are items only.

    Example:
        >>> kernel.lazy.sum([1, 2, 3]).get()
        6
        >>> kernel.lazy["sum"]([1, 2, 3]).get()
        6
    """

    __slots__ = ("__evaluator__", "__kind__")

    def __init__(self, evaluator: Evaluator, kind: type[Lazy] = Lazy) -> None:
        object.__setattr__(self, "__evaluator__", evaluator)
        object.__setattr__(self, "__kind__", kind)

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise TypeError(f"kernel.lazy has names, and {name!r} is none")
        require_encodable(name, "the name of a variable")
        return self.__kind__(Chain("name", name), self.__evaluator__)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"kernel.lazy has {name} as an item only: kernel.lazy[{name!r}]")
        return self[name]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError(f"lazy values are only read; kernel.namespace[{name!r}] = … sets a variable")

    __setitem__ = __setattr__

    def __delattr__(self, name: str) -> NoReturn:
        raise TypeError(f"lazy values are only read; del kernel.namespace[{name!r}] deletes a variable")

    __delitem__ = __delattr__

    def __contains__(self, name: object) -> NoReturn:
        raise TypeError(f"kernel.lazy does not know which names there are: ask {name!r} in kernel.namespace")

    def __iter__(self) -> NoReturn:
        raise TypeError("kernel.lazy does not know which names there are: iterate over kernel.namespace")

    def __dir__(self) -> list[str]:
        return []

    def __repr__(self) -> str:
        return "<lazy names of the kernel's namespace>"


def chain_of(value: Any, evaluator: Evaluator) -> Chain:
    """The chain of anything that takes part in another one: of a lazy value its own, of all else one that gives it.

    Raises:
        RequestError: it is of another client, or cannot be sent.
    """
    return _take(value, evaluator, {}, _MAX_DEPTH)


def _take(value: Any, evaluator: Evaluator, made: dict[int, Chain], depth: int) -> Chain:
    """As `chain_of`; a container that stands in several places, made already, is one there, too."""
    kind = type(value)
    if issubclass(kind, Lazy):
        if value.__evaluator__ is not evaluator:
            raise RequestError(f"{value!r} belongs to another client; what its .get() returns can be handed over")
        return value.__chain__  # type: ignore[no-any-return]
    if issubclass(kind, LazyNames):
        raise RequestError("kernel.lazy itself is no value: name a variable of it, as kernel.lazy.df")
    if kind in _PLAIN:
        _require_sendable(value)
        return Chain("constant", value)
    if kind is not tuple and kind not in CONTAINERS:
        return Chain("object", value)
    if depth == 0:
        raise RequestError(f"an argument is nested more than {_MAX_DEPTH} levels deep; push() it, and name it")
    if kind is not tuple:
        if id(value) not in made:
            items_of_it = _take(_items_of(value), evaluator, made, depth - 1)
            made[id(value)] = Chain(kind.__name__, None, (items_of_it,))
        return made[id(value)]
    items = tuple([_take(item, evaluator, made, depth - 1) for item in value])
    if all(item.kind == "constant" for item in items):
        return Chain("constant", tuple([item.detail for item in items]))
    return Chain("tuple", None, items)


def _items_of(value: Any) -> tuple[Any, ...]:
    if type(value) is slice:
        return value.start, value.stop, value.step
    return tuple(value.items()) if type(value) is dict else tuple(value)


def _require_sendable(value: Any) -> None:
    if type(value) is str:
        require_encodable(value, "a text in a chain")
    elif type(value) is int and value.bit_length() > _MAX_BITS:
        raise RequestError(
            f"a number of {value.bit_length()} bits is too large for an argument; push() it, and name it"
        )


def _record(lazy: Lazy, kind: str, detail: Any, *operands: Any) -> Lazy:
    evaluator = lazy.__evaluator__
    made: dict[int, Chain] = {}
    chain = Chain(kind, detail, tuple([_take(operand, evaluator, made, _MAX_DEPTH) for operand in operands]))
    return type(lazy)(chain, evaluator)


def _refuse_attribute(name: str, arguments: tuple[Any, ...]) -> None:
    if arguments:
        raise TypeError(
            f".{name}() is the lazy value's own and takes no such argument; to call an attribute called {name!r} "
            f"in the kernel, record kernel.lazy.getattr(value, {name!r})(…)"
        )


def _cannot_set(instead: str) -> TypeError:
    return TypeError(f"a lazy value is only read: use the live object, as in kernel.namespace, or {instead}")


# ------------------------------------------------------------------ what Python asks of a class


def _operator(name: str, is_reflected: bool = False) -> Callable[..., Lazy]:
    def record(self: Lazy, other: Any) -> Lazy:
        operands = (other, self) if is_reflected else (self, other)
        return _record(self, "operator", name, *operands)

    return record


def _sign(name: str) -> Callable[[Lazy], Lazy]:
    return lambda self: _record(self, "operator", name, self)


def _refusal(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: Lazy, *_: object) -> NoReturn:
        raise TypeError(f"{_LATER}, and {what} needs it now: call .get() first{instead}")

    return refuse


_CONVERSIONS: Final = {
    "bool": "bool() (as of if, while, and, or, not, a < b < c)",
    **{name: f"{name}()" for name in ("len", "int", "float", "complex", "bytes", "reversed")},
}
_OTHERS: Final = {
    "index": ("an index", ""),
    "iter": ("iterating over it", ", or .pull() for a copy"),
    "next": ("next()", ", or record kernel.lazy.next(value)"),
    "contains": ("'in'", ", or record kernel.lazy.getattr(value, '__contains__')(item)"),
    "enter": ("'with'", ""),
    "exit": ("'with'", ""),
    "hash": ("hash() (as of the key of a dict, and an item of a set)", ""),
}


def _name_special_methods() -> dict[str, Callable[..., Any]]:
    methods: dict[str, Callable[..., Any]] = {}
    for name in (*BINARY, *COMPARISONS):
        methods.setdefault(name, _operator(name))
    for name in BINARY:
        methods[f"r{name}"] = _operator(name, is_reflected=True)
    methods |= {name: _sign(name) for name in UNARY}
    methods |= {name: _refusal(what, f", or record kernel.lazy.{name}(value)") for name, what in _CONVERSIONS.items()}
    methods |= {name: _refusal(what, instead) for name, (what, instead) in _OTHERS.items()}
    return methods


for _name, _method in _name_special_methods().items():
    if _name not in ("pow", "rpow"):
        setattr(Lazy, f"__{_name}__", _method)
