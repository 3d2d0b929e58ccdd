"""Making a group: all kernels that are meant are connected to at once, or started."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rpyc_kernel.client import launch
from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.client.connect_string import shown_of
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.launch import connect, kernels
from rpyc_kernel.errors import ConnectionLost, GroupFailed, KernelExists, RequestError
from rpyc_kernel.groups.fanning import fan_out
from rpyc_kernel.groups.group import Group
from rpyc_kernel.groups.targets import expand
from rpyc_kernel.settings import KEEP_OUTPUT, RECONNECT_S

_MISSING = ("refuse", "skip")


@check_arguments
def group(
    targets: str | os.PathLike[str] | KernelClient | Iterable[str | os.PathLike[str] | KernelClient],
    *,
    start: bool = False,
    missing: str = "refuse",
    name: str | None = None,
    role: str | None = None,
    key: str | None = None,
    timeout: float = 10.0,
    silence: float = 20.0,
    keep_output: int = KEEP_OUTPUT,
    reconnect: float = RECONNECT_S,
    allow_pickle: bool = False,
    on_loss: Callable[[str, str], object] | None = None,
    **start_options: Any,
) -> Group:
    """Connect to many kernels at once, to say the same to all of them.

    Args:
        targets: names and addresses as of `connect`, patterns of them as shells have them (``train-{0..7}``,
            ``ssh://gpu{1..8}/train``), patterns of names of kernels that run here (``train-*``), and clients, which
            stay open when the group is closed.
        start: start those that do not run.
        missing: ``refuse`` where one cannot be reached, or ``skip`` it; the group's `missing` then says who, and why.
        name: how to be shown to others, None for the user's name.
        role: as of `connect`.
        key: as of `connect`, for all of them.
        timeout: as of `connect`.
        silence: as of `connect`.
        keep_output: as of `connect`.
        reconnect: as of `connect`.
        allow_pickle: whether values may come as pickles. To open one runs code that its kernel chooses.
        on_loss: called on another thread with the name of a kernel that was connected to and what there is to say when
            its connection is lost, and with "" when it is there again.
        **start_options: as of `rpyc_kernel.start`, for those that are started.

    Returns:
        The group, in the order of the targets, clients before all others. Leave it by `close`, or use it in a ``with``
        statement.

    Raises:
        GroupFailed: some cannot be reached, or not started.
        RequestError: a target cannot be understood.
        NoSuchKernel: no kernel has a name of that pattern.

    Example:
        >>> with rpyc_kernel.group(["demo"]) as group:
        ...     group.execute("print('hello')").stdout["demo"].strip()
        'hello'
    """
    if missing not in _MISSING:
        raise RequestError(f"missing is 'refuse' or 'skip', for kernels that cannot be reached, and not {missing!r}")
    if start_options and not start:
        raise RequestError(f"{', '.join(start_options)} says how kernels start, and none is started: pass start=True")
    settings = {"timeout": timeout, "silence": silence, "keep_output": keep_output, "reconnect": reconnect}
    make: Callable[[str], KernelClient] = partial(connect, name=name, role=role, key=key, **settings)  # type: ignore[arg-type]
    labels: dict[str, str] = {}
    if on_loss is not None:
        make = partial(_connect_telling, make, labels, on_loss)
    if start:
        make = partial(_start_or_connect, make, {"client_name": name, **settings, **start_options})
    given, places = _sort(targets)
    written = expand(places, _list_names) if places or not given else []
    errors: dict[str, Exception] = {}
    with _Opening(make) as opening:
        try:
            clients = fan_out("connecting", {place: partial(opening.open, place) for place in written})
        except GroupFailed as failed:
            clients, errors = failed.results, failed.errors
            if missing == "refuse" or not (clients or given):
                raise
        addresses = _name_all([*((client.name, client) for client in given), *clients.items()])
    labels.update((place, label) for label, (place, _) in addresses.items())

    def reopen(label: str) -> KernelClient:
        place = addresses[label][0]
        if place not in clients:  # what has that name here may be another kernel
            raise ConnectionLost(f"the client of {label!r} that the group was given is lost; connect again")
        return make(place)

    made = Group(
        {label: client for label, (_, client) in addresses.items()},
        reopen=reopen,
        allow_pickle=allow_pickle,
    )
    made._opened += clients.values()
    made.missing.update(errors)
    return made


class _Opening:
    """Makes clients, in any threads; where that is broken off, as by Ctrl-C, none of them stays open."""

    def __init__(self, make: Callable[[str], KernelClient]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[KernelClient] = []
        self._is_broken_off = False

    def __enter__(self) -> _Opening:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            with self._lock:
                self._is_broken_off = True
            for client in self._made:
                client.close()

    def open(self, place: str) -> KernelClient:
        client = self._make(place)
        with self._lock:
            if not self._is_broken_off:
                self._made.append(client)
                return client
        client.close()
        raise ConnectionLost("nobody waits for it any more")


def _sort(targets: Any) -> tuple[list[Any], list[str | os.PathLike[str]]]:
    """The clients among the targets, and the others."""
    is_one = isinstance(targets, (str, os.PathLike)) or not isinstance(targets, Iterable)
    asked = [targets] if is_one else list(targets)
    clients = [target for target in asked if isinstance(target, KernelClient)]
    return clients, [target for target in asked if not isinstance(target, KernelClient)]


def _list_names() -> list[str]:
    return [found.name for found in kernels() if found.state == "running"]


def _name_all(found: list[tuple[str, KernelClient]]) -> dict[str, tuple[str, KernelClient]]:
    """What to call each: by the name of its kernel, or where several are called so, by its address."""
    counts = Counter(client.name for _, client in found)
    named: dict[str, tuple[str, KernelClient]] = {}
    for place, client in found:
        label = client.name if counts[client.name] == 1 else shown_of(place)
        if label in named:
            raise RequestError(
                f"{label!r} is there twice; a group has each kernel once. Where they are two kernels of that name, "
                "give their addresses, and no clients"
            )
        named[label] = place, client
    return named


def _connect_telling(
    connect_to: Callable[..., KernelClient],
    labels: Mapping[str, str],
    tell: Callable[[str, str], object],
    target: str,
) -> KernelClient:
    def tell_loss(words: str) -> None:
        tell(labels.get(target, target), words)

    return connect_to(target, on_loss=tell_loss)


def _start_or_connect(connect_to: Callable[[str], KernelClient], options: dict[str, Any], target: str) -> KernelClient:
    try:
        return launch.start(target, **options)
    except KernelExists:
        return connect_to(target)
