"""The kernel's namespace as a mapping of live objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, ClassVar

_NAMESPACE = "namespace"


class Names(MutableMapping[str, Any]):
    """A mapping whose keys are attributes, too; those that begin with two underscores are keys only."""

    _ABSENT: ClassVar[str]
    """What to say where there is no such name."""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(self._ABSENT.format(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(self._ABSENT.format(name)) from None

    def __dir__(self) -> list[str]:
        return list(self)


class Namespace(Names):
    """Reads and writes the namespace over the objects connection: plain values by value, all else as netrefs.

    Names can be used as keys or as attributes: ``namespace["df"].head()`` or ``namespace.df.head()``. Names that begin
    with two underscores are keys only, and are left out by iteration.

    Raises:
        KeyError: there is no variable of that name; as an attribute, AttributeError.

    Example:
        >>> kernel.namespace["numbers"] = (1, 2, 3)
        >>> kernel.namespace.numbers
        (1, 2, 3)
        >>> "numbers" in kernel.namespace
        True
        >>> del kernel.namespace["numbers"]
    """

    _ABSENT = "the kernel's namespace has no {!r}"

    def __init__(self, ask: Callable[..., Any]) -> None:
        object.__setattr__(self, "_ask", ask)

    def __getitem__(self, name: str) -> Any:
        return self._ask(_NAMESPACE, "__getitem__", name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._ask(_NAMESPACE, "__setitem__", name, value)

    def __delitem__(self, name: str) -> None:
        self._ask(_NAMESPACE, "__delitem__", name)

    def __iter__(self) -> Iterator[str]:
        return iter([str(name) for name in self._ask(None, "eval", "tuple(globals())") if not name.startswith("__")])

    def __contains__(self, name: object) -> bool:
        return bool(self._ask(_NAMESPACE, "__contains__", name))

    def __repr__(self) -> str:
        return f"<Namespace with {len(self)} names>"
