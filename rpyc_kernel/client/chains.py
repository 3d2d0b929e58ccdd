"""What a lazy value has recorded: how its steps are handed to a worker, and how they would be typed.

A chain never changes, and chains can share parts: what two operands have in common is done once. Nothing here recurs,
so a chain can be of any length.
"""

from __future__ import annotations

import keyword
import reprlib
from collections.abc import Iterator
from typing import Any, Final

from rpyc_kernel.core.chain_steps import BINARY, COMPARISONS, UNARY, Step
from rpyc_kernel.errors import ChainFailed, ExecutionError, RequestError
from rpyc_kernel.frozen import Frozen

_ATOM, _POSTFIX, _SIGN = 20, 19, 13
_MAX_SHOWN: Final = 400
"""How much of a chain is shown, in characters; more in the middle, or far from the link that failed, is left out."""
_GAP: Final = "…"
_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 60
_shorten.maxtuple = _shorten.maxlist = _shorten.maxset = _shorten.maxfrozenset = _shorten.maxdict = 8


class Chain:
    """One recorded step, with those that it needs; see `core.chain_steps`.

    Attributes:
        kind: what is done.
        detail: with what: a name, a plain value, an object.
        operands: the chains of what it is done to.
    """

    __slots__ = ("detail", "kind", "operands")

    def __init__(self, kind: str, detail: Any = None, operands: tuple[Chain, ...] = ()) -> None:
        self.kind = kind
        self.detail = detail
        self.operands = operands

    def compile(self) -> tuple[tuple[Step, ...], tuple[Any, ...]]:
        """Return the steps for the worker, and the objects that they name by number."""
        places: dict[int, int] = {}
        steps: list[Step] = []
        objects: list[Any] = []
        for chain in self._in_order():
            detail = chain.detail
            if chain.kind == "object":
                detail = len(objects)
                objects.append(chain.detail)
            places[id(chain)] = len(steps)
            steps.append((chain.kind, detail, tuple([places[id(operand)] for operand in chain.operands])))
        return tuple(steps), tuple(objects)

    def explain(self, place: Any, error: ExecutionError) -> ExecutionError:
        """Return the error that names the link whose step raised this one; itself where no step did.

        Args:
            place: the step's, as the worker has told it.
            error: what is known of the exception.
        """
        if place is None:
            return error
        order = list(self._in_order())
        if type(place) is not int or not 0 <= place < len(order):
            raise RequestError("the kernel's answer is none")
        text = _show(order, failed=order[place])
        start, end = text.mark or (0, len(text.text))
        link = text.text[start:end].strip()
        shown = text.text
        if shown.count(link) > 1:  # which of them?
            shown = f"{shown[:start]}»{shown[start:end]}«{shown[end:]}"
        explained = ChainFailed(error.ename, error.evalue, error.traceback, link=link, chain=shown)
        if hasattr(error, "__notes__"):
            explained.__notes__ = error.__notes__
        return explained

    def __str__(self) -> str:
        return _show(list(self._in_order())).text

    def _in_order(self) -> Iterator[Chain]:
        """This chain and all that it needs, each once, in the order in which Python would do it."""
        seen: set[int] = set()
        waiting = [self]
        while waiting:
            chain = waiting[-1]
            missing = [] if id(chain) in seen else [part for part in chain.operands if id(part) not in seen]
            if missing:
                waiting.extend(reversed(missing))
                continue
            waiting.pop()
            if id(chain) not in seen:
                seen.add(id(chain))
                yield chain


# ------------------------------------------------------------------ as it would be typed


class _Text(Frozen):
    """How a chain would be typed.

    Attributes:
        text: the text.
        rank: how strongly its outermost operator binds.
        link: where in the text its last link begins.
        mark: from where to where in the text the link stands that failed.
    """

    text: str
    rank: int = _ATOM
    link: int = 0
    mark: tuple[int, int] | None = None


def _show(order: list[Chain], failed: Chain | None = None) -> _Text:
    """The text of the last of these chains, in which each stands behind all that it needs."""
    texts: dict[int, _Text] = {}
    for chain in order:
        text = _show_one(chain, texts)
        if chain is failed:
            text = _Text(text.text, text.rank, text.link, (text.link, len(text.text)))
        texts[id(chain)] = _fit(text)
    return texts[id(order[-1])]


def _show_one(chain: Chain, texts: dict[int, _Text]) -> _Text:
    parts = [texts[id(operand)] for operand in chain.operands]
    if chain.kind == "constant":
        shown = _shorten.repr(chain.detail)
        return _Text(shown, _SIGN if shown.startswith("-") else _ATOM)
    if chain.kind == "object":  # whose own repr could do anything, and that of a proxy asks
        return _Text(f"<{type(chain.detail).__name__}>")
    if chain.kind == "name":
        is_name = chain.detail.isidentifier() and not keyword.iskeyword(chain.detail)
        return _Text(chain.detail if is_name else f"globals()[{chain.detail!r}]")
    if chain.kind == "attribute":
        return _link(parts[0], [f".{chain.detail}"])
    if chain.kind == "item":
        return _link(parts[0], ["[", *_show_key(chain.operands[1], texts), "]"])
    if chain.kind == "call":
        return _show_call(chain, parts)
    if chain.kind == "operator":
        return _show_operator(chain.detail, parts)
    if chain.kind == "function":
        return _join([f"{chain.detail}(", *_with_commas(parts), ")"])
    return _show_container(chain, texts)


def _show_call(chain: Chain, parts: list[_Text]) -> _Text:
    count = len(parts) - len(chain.detail)
    named = [_join([f"{name}=", part]) for name, part in zip(chain.detail, parts[count:], strict=True)]
    function = parts[0]
    # The call and what leads to the function are one link, unless that is a call as well.
    start = function.link if chain.operands[0].kind in ("name", "attribute", "item") else None
    return _link(function, ["(", *_with_commas([*parts[1:count], *named]), ")"], start)


def _show_operator(name: str, parts: list[_Text]) -> _Text:
    if name in UNARY:
        sign, rank = UNARY[name]
        return _join([sign, _bracket(parts[0], parts[0].rank < rank)], rank)
    sign, rank = BINARY.get(name) or COMPARISONS[name]
    is_power, is_comparison = name == "pow", name in COMPARISONS
    left = _bracket(parts[0], parts[0].rank < rank or (parts[0].rank == rank and (is_power or is_comparison)))
    right = _bracket(parts[1], parts[1].rank < rank - is_power or (parts[1].rank == rank and not is_power))
    return _join([left, f" {sign} ", right], rank, link=len(left.text))


def _show_container(chain: Chain, texts: dict[int, _Text]) -> _Text:
    if chain.kind == "tuple":
        items: list[str | _Text] = _with_commas([texts[id(operand)] for operand in chain.operands])
        return _join(["(", *items, ",)" if len(chain.operands) == 1 else ")"])
    made = chain.operands[0]
    if chain.kind == "slice":
        return _join(["slice(", *_with_commas(_items_of(made, texts)), ")"])
    if chain.kind == "dict":
        pairs = []
        for pair in made.operands or made.detail:
            key, value = _items_of(pair, texts) if isinstance(pair, Chain) else map(_show_plain, pair)
            pairs.append(_join([key, ": ", value]))
        return _join(["{", *_with_commas(pairs), "}"])
    opening, closing = {"list": ("[", "]"), "set": ("{", "}"), "frozenset": ("frozenset({", "})")}[chain.kind]
    return _join([opening, *_with_commas(_items_of(made, texts)), closing])


def _show_key(key: Chain, texts: dict[int, _Text]) -> list[str | _Text]:
    if key.kind == "slice":
        return _show_slice(key, texts)
    is_tuple = key.kind == "tuple" or type(key.detail) is tuple
    if is_tuple and len(key.operands or key.detail) > 1:
        slices = [_join(_show_slice(part, texts)) if part.kind == "slice" else texts[id(part)] for part in key.operands]
        return _with_commas(slices or _items_of(key, texts))
    return [texts[id(key)]]


def _show_slice(chain: Chain, texts: dict[int, _Text]) -> list[str | _Text]:
    start, stop, step = ["" if part.text == "None" else part for part in _items_of(chain.operands[0], texts)]
    return [start, ":", stop, *([":", step] if step else [])]


def _items_of(made: Chain, texts: dict[int, _Text]) -> list[_Text]:
    if made.kind == "constant":
        shown = [_show_plain(item) for item in made.detail[: _shorten.maxlist]]
        return [*shown, _Text(_GAP)] if len(made.detail) > len(shown) else shown
    return [texts[id(operand)] for operand in made.operands]


def _show_plain(value: Any) -> _Text:
    return _Text(_shorten.repr(value))


def _with_commas(parts: list[_Text]) -> list[str | _Text]:
    separated: list[str | _Text] = []
    for part in parts:
        separated += [", ", part] if separated else [part]
    return separated


def _link(target: _Text, parts: list[str | _Text], start: int | None = None) -> _Text:
    whole = _bracket(target, target.rank < _POSTFIX)
    return _join([whole, *parts], _POSTFIX, link=len(whole.text) if start is None else start)


def _bracket(text: _Text, is_needed: bool) -> _Text:
    return _join(["(", text, ")"]) if is_needed else text


def _join(parts: list[str | _Text], rank: int = _ATOM, link: int = 0) -> _Text:
    text, mark = "", None
    for part in parts:
        if isinstance(part, _Text):
            if part.mark is not None and mark is None:
                mark = (len(text) + part.mark[0], len(text) + part.mark[1])
            text += part.text
        else:
            text += part
    return _Text(text, rank, link, mark)


def _fit(text: _Text) -> _Text:
    """The same with less of it: what is around the mark, else its beginning and its end."""
    shown, half = text.text, _MAX_SHOWN // 2
    if len(shown) <= _MAX_SHOWN:
        return text
    if text.mark is None:
        cut = shown[:half] + _GAP + shown[-half:]
        from_end = len(shown) - text.link
        return _Text(cut, text.rank, len(cut) - from_end if from_end <= half else min(text.link, half))
    start, end = text.mark
    before, marked, after = shown[:start], shown[start:end], shown[end:]
    if len(before) > half:
        before = _GAP + before[-half:]
    if len(marked) > half:
        marked = marked[: half // 2] + _GAP + marked[-half // 2 :]
    if len(after) > half:
        after = after[:half] + _GAP
    return _Text(before + marked + after, text.rank, len(before + marked + after), (len(before), len(before + marked)))
