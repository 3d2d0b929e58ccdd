"""The namespaces of many kernels as one mapping, whose values are lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.namespace import Names
from rpyc_kernel.errors import GroupFailed
from rpyc_kernel.groups.fanning import fan_out

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient


class GroupNamespace(Names):
    """Reads a variable of every kernel, in order, and sets it in all: plain values by value, all else as netrefs.

    Names can be used as keys or as attributes, as of one kernel's `Namespace`. Iterating gives the names that all have.

    Raises:
        KeyError: no kernel has a variable of that name; as an attribute, AttributeError.
        GroupFailed: some have it, and some have not.

    Example:
        >>> with rpyc_kernel.group(["demo"]) as group:
        ...     group.namespace["number"] = 3
        ...     group.namespace.number
        [3]
    """

    _ABSENT = "no kernel's namespace has {!r}"
    _members: Callable[[], dict[str, KernelClient]]

    def __init__(self, members: Callable[[], dict[str, KernelClient]]) -> None:
        object.__setattr__(self, "_members", members)

    def __getitem__(self, name: str) -> list[Any]:
        return self._ask(name, lambda kernel: kernel.namespace[name])

    def __setitem__(self, name: str, value: Any) -> None:
        def put(kernel: KernelClient) -> None:
            kernel.namespace[name] = value

        self._ask(name, put)

    def __delitem__(self, name: str) -> None:
        self._ask(name, lambda kernel: kernel.namespace.__delitem__(name))

    def __iter__(self) -> Iterator[str]:
        listed = self._ask("names", lambda kernel: list(kernel.namespace))
        return iter([name for name in listed[0] if all(name in names for names in listed)] if listed else [])

    def __contains__(self, name: object) -> bool:
        return all(self._ask(str(name), lambda kernel: name in kernel.namespace))

    def __repr__(self) -> str:
        return f"<GroupNamespace of {len(self._members())} kernels>"

    def _ask(self, name: str, do: Callable[[KernelClient], Any]) -> list[Any]:
        members = self._members()
        try:
            found = fan_out(repr(name), {each: partial(do, kernel) for each, kernel in members.items()})
        except GroupFailed as failed:
            if not failed.results and all(isinstance(error, KeyError) for error in failed.errors.values()):
                raise KeyError(name) from None
            raise
        return list(found.values())
