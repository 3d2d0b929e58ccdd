"""Starting kernels, finding them, connecting to them."""

from __future__ import annotations

import getpass
import importlib
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.address import Address, from_answer, is_on_other_machine, resolve
from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.client.connect_string import from_environment
from rpyc_kernel.client.interpreter import find_interpreter
from rpyc_kernel.client.whereabouts import Whereabouts, find, find_all
from rpyc_kernel.errors import KernelExists, RequestError
from rpyc_kernel.frozen import Frozen, fields_of
from rpyc_kernel.settings import (
    DEFAULT_SWITCH_INTERVAL_S,
    ENGINES,
    KEEP_OUTPUT,
    LOCAL,
    RECONNECT_S,
    SETTINGS_VARIABLE,
    ClientSettings,
    Face,
    Folders,
    HubSettings,
    WorkerSettings,
    check_name,
    parse_listen,
)
from rpyc_kernel.system import bundle_start, processes
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.hub_start import start_hub
from rpyc_kernel.system.kernel_folder import LOCK_PATIENCE_S
from rpyc_kernel.system.runtime_folder import RuntimeFolder

if TYPE_CHECKING:
    from rpyc_kernel.client.kernel import KernelClient

_CLIENT = "rpyc_kernel.client.kernel"
"""Imported while the hub starts: it brings all of RPyC, and takes as long as the hub does."""
_MIN_SWITCH_INTERVAL_S = 1e-6
_MAX_SWITCH_INTERVAL_S = 1.0
_MAX_NICE = 19


class KernelInfo(Frozen):
    """A kernel on this machine, as its connection file tells.

    Attributes:
        name: its name.
        state: ``running``; ``orphaned`` when its hub is gone and its worker lives.
        hub_pid: the hub's process.
        worker_pid: the worker's process.
        generation: how many workers it has had.
        started: when its hub started, seconds since the epoch.
        host: the address it listens on, "" where it has its unix socket alone.
        port: the TCP port, 0 where it has none.
        listening: this port and all others: dicts with ``host``, ``port`` and ``security``, which is ``tls``, ``plain``
            where only this machine can reach the port, or ``insecure``.

    Example:
        >>> found = next(found for found in rpyc_kernel.kernels() if found.name == "demo")
        >>> found.host, found.hub_pid == kernel.status()["hub_pid"]
        ('127.0.0.1', True)
    """

    name: str
    state: str
    hub_pid: int
    worker_pid: int | None
    generation: int
    started: float
    host: str
    port: int
    listening: list[dict[str, Any]]


@check_arguments
def start(
    name: str = "default",
    *,
    engine: str = "auto",
    python: str | os.PathLike[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    env: dict[str, str] | None = None,
    listen: str | None = None,
    tls: bool = False,
    insecure: bool = False,
    certificate: str | os.PathLike[str] | None = None,
    private_key: str | os.PathLike[str] | None = None,
    client_ca: str | os.PathLike[str] | None = None,
    announce: str | None = None,
    switch_interval: float = DEFAULT_SWITCH_INTERVAL_S,
    profile: bool = True,
    nice: int = 0,
    idle_timeout: float | None = None,
    face: str = Face.TERMINAL,
    session: str | None = None,
    client_name: str | None = None,
    is_private: bool = False,
    standard_input: int | None = None,
    timeout: float = 10.0,
    silence: float = 20.0,
    keep_output: int = KEEP_OUTPUT,
    reconnect: float = RECONNECT_S,
) -> KernelClient:
    """Start a kernel and connect to it. If its hub is gone but its worker lives, the worker is taken up again.

    Args:
        name: the kernel's name; 1 to 64 letters, digits, ``.``, ``_`` or ``-``. Or ``ssh://[user@]host[:port]/name``,
            to start it on that machine, where nothing need be installed but Python.
        engine: ``ipython``, ``plain``, or ``auto``, which is IPython where the worker's interpreter has it.
        python: the interpreter of the worker, a path or the name of a command; None for this one, on another machine
            for its ``python3``.
        cwd: the worker's working directory, None for this one's, on another machine for where a login begins.
        env: further environment variables for the worker.
        listen: ``host`` or ``host:port``, None for a free port of 127.0.0.1, or for none at all if it is private.
            What others than this machine can reach speaks TLS.
        tls: speak TLS also where only this machine can reach the port.
        insecure: speak none, though others can read and change on the way what is said.
        certificate: a PEM file with a certificate to use in place of the one that the kernel makes for itself.
        private_key: a PEM file with its private key, None where that is in the same file.
        client_ca: a PEM file with the certificate of who has to have signed those of all clients, None where they need
            none.
        announce: a registry of RPyC's to tell of the kernel, so that `rpyc.discover` finds it: ``broadcast``,
            ``host[:port]`` or ``tcp://host[:port]``.
        switch_interval: after how many seconds busy code lets other threads of the worker run, such as those that
            serve live objects; see `sys.setswitchinterval`.
        profile: whether the worker reads what you have set up for interactive work: ``PYTHONSTARTUP``, and with the
            engine ``ipython`` IPython's profile.
        nice: how far the worker steps back behind other programs, 0 to 19; see `os.nice`.
        idle_timeout: end the kernel when nobody was connected and nothing ran for so many seconds; 0 never. None, too,
            is never, but keeps what a hub had that was lost.
        face: what libraries in the worker are to take it for: ``terminal`` or ``notebook``.
        session: the session to continue.
        client_name: how to be shown to others, None for the user's name.
        is_private: keep no journal, and end with the last client.
        standard_input: a descriptor that a private kernel's first worker gets for its standard input, to read from it
            by itself; None to have `input`, `sys.stdin` and `getpass` ask the clients.
        timeout: of the connection's calls, in seconds.
        silence: as of `connect`.
        keep_output: as of `connect`.
        reconnect: as of `connect`.

    Returns:
        A client of the kernel, whose worker may still be starting.

    Raises:
        KernelExists: a kernel of this name runs.
        BadName: it cannot be a name.
        RequestError: an argument is wrong, or a folder cannot be used.
        CallTimeout: the hub was not there after 30 s.

    Example:
        >>> with rpyc_kernel.start("brief", engine="plain") as brief:
        ...     run = brief.execute("x = 6 * 7; x")
        ...     run.value
        ...     brief.shutdown()
        42
    """
    ClientSettings(timeout, silence, keep_output, reconnect)  # what cannot be is refused before anything is started
    settings: dict[str, Any] = {
        "engine": engine,
        "cwd": cwd,
        "env": env,
        "listen": listen,
        "tls": tls,
        "insecure": insecure,
        "certificate": os.fspath(certificate) if certificate else None,
        "private_key": os.fspath(private_key) if private_key else None,
        "client_ca": os.fspath(client_ca) if client_ca else None,
        "announce": announce,
        "switch_interval": switch_interval,
        "profile": profile,
        "nice": nice,
        "idle_timeout": idle_timeout,
        "face": face,
    }
    if is_on_other_machine(name):
        if is_private or standard_input is not None:
            raise RequestError(f"{name}: a kernel on another machine is there for itself; it cannot be private")
        address = _start_there(name, python, settings)
    else:
        launch(check_name(name), python=python, is_private=is_private, standard_input=standard_input, **settings)
        address = resolve(name)
    from rpyc_kernel.client.kernel import KernelClient  # see `_CLIENT`

    return KernelClient(
        address,
        session=session,
        name=client_name or user_name(),
        timeout=timeout,
        silence=silence,
        keep_output=keep_output,
        reconnect=0 if is_private else reconnect,  # that one ends when it loses its last client
    )


def launch(
    name: str,
    *,
    engine: str,
    python: str | os.PathLike[str] | None,
    cwd: str | os.PathLike[str] | None,
    env: dict[str, str] | None,
    listen: str | None,
    tls: bool = False,
    insecure: bool = False,
    certificate: str | os.PathLike[str] | None = None,
    private_key: str | os.PathLike[str] | None = None,
    client_ca: str | os.PathLike[str] | None = None,
    switch_interval: float,
    profile: bool,
    face: str,
    is_private: bool,
    nice: int = 0,
    idle_timeout: float | None = None,
    announce: str | None = None,
    standard_input: int | None = None,
    in_foreground: bool = False,
    is_held: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Start a hub, and return when clients can connect to it.

    ``meanwhile`` is called while it starts. If that fails, nobody waits for the hub any more, and a private one ends.
    ``in_foreground`` this process becomes the hub, and this function does not return. What ``is_held`` ends within a
    second or two when this process does, however that ends.
    """
    if engine not in ENGINES:
        raise RequestError(f"there is no engine {engine!r}; choose 'auto', 'plain' or 'ipython'")
    if cwd is not None and not os.path.isdir(cwd):
        raise RequestError(f"the working directory {cwd!r} is not there")
    if not _MIN_SWITCH_INTERVAL_S <= switch_interval <= _MAX_SWITCH_INTERVAL_S:
        raise RequestError(
            f"a switch interval of {switch_interval:g} s makes no sense; choose one between "
            f"{_MIN_SWITCH_INTERVAL_S:g} and {_MAX_SWITCH_INTERVAL_S:g} s"
        )
    if not 0 <= nice <= _MAX_NICE:
        raise RequestError(f"nice is how far to step back behind other programs, 0 to {_MAX_NICE}, not {nice}")
    if standard_input is not None and not is_private:
        raise RequestError("a kernel that outlives its starter asks its clients; only a private one has standard input")
    if private_key and not certificate:
        raise RequestError("a private key is of no use without its certificate; give both, or none")
    if insecure and (tls or certificate or client_ca):
        raise RequestError("what is insecure has no TLS, and needs no certificates; leave one of them out")
    host, port = parse_listen(listen) if listen else ("" if is_private else LOCAL, 0)
    if announce:
        from rpyc_kernel.wire.registry import Registry

        Registry.parse(announce).check_against(host)
    interpreter = find_interpreter(python, engine)
    hub = HubSettings(
        host=host,
        port=port,
        tls=tls or bool(certificate or client_ca),
        insecure=insecure,
        certificate=_absolute(certificate),
        private_key=_absolute(private_key),
        client_ca=_absolute(client_ca),
        engine=engine,
        python=interpreter.path,
        bundle=interpreter.bundle,
        is_private=is_private,
        idle_timeout_s=idle_timeout,
        announce=announce or "",
        holder_pid=os.getpid() if is_held else 0,
        holder_birth=processes.birth_of(os.getpid()) if is_held else "",
    )
    worker = WorkerSettings(
        switch_interval_s=switch_interval,
        profile=profile,
        face=face,
        environment=env,
        cwd=os.path.abspath(cwd or os.getcwd()),
        nice=nice,
    )
    folders = Folders.from_environment()
    place = RuntimeFolder(folders.runtime / name) if is_private else Home(folders.state / name)
    place.create()
    # Said in full, because the hub runs in another folder, where relative paths would mean something else.
    places = {"RPYC_KERNEL_RUNTIME_DIR": str(folders.runtime), "RPYC_KERNEL_STATE_DIR": str(folders.state)}
    options: dict[str, Any] = {"hub": fields_of(hub), "worker": fields_of(worker)}
    if in_foreground:
        environment = {**places, SETTINGS_VARIABLE: json.dumps({**options, "foreground": True})}
        processes.become_module(
            "rpyc_kernel.hub",
            [name],
            bundle=bundle_start.of_this_process(),
            cwd=str(place.path),
            environment=environment,
        )
    options["has_input"] = standard_input is not None

    def load() -> None:
        meanwhile()
        importlib.import_module(_CLIENT)

    start_hub(name, folders, place, options, standard_input, meanwhile=load)


@check_arguments
def connect(
    target: str | os.PathLike[str] | None = None,
    *,
    session: str | None = None,
    name: str | None = None,
    role: str | None = None,
    joins: bool = True,
    key: str | None = None,
    timeout: float = 10.0,
    silence: float = 20.0,
    keep_output: int = KEEP_OUTPUT,
    reconnect: float = RECONNECT_S,
    on_loss: Callable[[str], None] | None = None,
) -> KernelClient:
    """Connect to a running kernel.

    Args:
        target: its name, the path of its connection file, a connect string (``rpyc+tls://…``),
            ``ssh://[user@]host[:port]/name``, ``tcp://host:port`` or ``unix:///path``; None for the connect string in
            the environment's ``RPYC_KERNEL_INVITATION``, or where there is none the kernel ``default``.
        session: the session to continue, None for a new one.
        name: how to be shown to others, None for the user's name.
        role: ``owner``, ``editor``, ``asker``, whose code waits until somebody approves it, or ``viewer``, who only
            looks on; None for the most that the key gives.
        joins: False only looks: nobody is told, and no session is shown as present.
        key: the kernel's key in hexadecimal digits, for what has ``://``; else ``RPYC_KERNEL_KEY`` is asked.
        timeout: of connecting and of each call, in seconds.
        silence: for how many seconds the kernel may be silent while something is awaited of it, before the connection
            counts as lost. Only its hub has to give a sign of life: a worker may compute for as long as it likes.
        keep_output: how much of what an execution prints and shows its client keeps in memory, in characters. The rest
            is read again from the kernel's journal when it is asked for.
        reconnect: for how many seconds a connection that was lost is made again, as the same session, while something
            is awaited of it; 0 for not at all.
        on_loss: called on another thread with what there is to say when the connection is lost, and with "" when it is
            there again.

    Returns:
        A client. Leave it by `close`, or use it in a ``with`` statement; the kernel goes on.

    Raises:
        NoSuchKernel: there is none.
        RequestError: the target cannot be understood, or the key is missing.
        ConnectionFailed: or one of its kinds, such as `AuthenticationFailed`.

    Example:
        >>> with rpyc_kernel.connect("demo", name="alice") as client:
        ...     client.client_name, client.status()["kernel"]
        ('alice', 'demo')
    """
    if target is None:
        target = from_environment() or "default"
    address = resolve(target, key)  # first: who finds that there is no kernel may be about to start one
    from rpyc_kernel.client.kernel import KernelClient  # see `_CLIENT`

    return KernelClient(
        address,
        session=session,
        name=name or user_name(),
        role=role,
        joins=joins,
        timeout=timeout,
        silence=silence,
        keep_output=keep_output,
        reconnect=reconnect,
        on_loss=on_loss,
    )


def _start_there(url: str, python: str | os.PathLike[str] | None, settings: dict[str, Any]) -> Address:
    """Start a kernel on another machine."""
    from rpyc_kernel.client import ssh

    target = ssh.parse_kernel(url)
    if settings["cwd"] is not None:
        settings["cwd"] = os.fspath(settings["cwd"])
    request = {"do": "start", "name": target.name, "settings": settings}
    return from_answer(target, ssh.ask(target, request, python=None if python is None else os.fspath(python)))


@check_arguments
def kernels(host: str | None = None) -> list[KernelInfo]:
    """Find the kernels of this user on this machine, or on another one.

    Args:
        host: the other machine, ``ssh://[user@]host[:port]/``; None for this one.

    Returns:
        Those that run, and those whose worker waits for a hub, by name.

    Raises:
        ConnectionFailed: the other machine cannot be reached.

    Example:
        >>> [(found.name, found.state) for found in rpyc_kernel.kernels()]
        [('demo', 'running')]
    """
    if host is not None:
        from rpyc_kernel.client import ssh
        from rpyc_kernel.client.ssh_command import understanding

        target = ssh.parse_host(host)
        there = ssh.ask(target, {"do": "list", "shows_stopped": False})
        with understanding(target.host_url):
            return [KernelInfo(**kernel) for kernel in there]
    found = []
    for place in find_all():
        file = place.file
        state = "running" if place.has_hub else "orphaned" if place.has_worker else ""
        if file is not None and state:
            found.append(
                KernelInfo(
                    file.name,
                    state,
                    file.hub_pid,
                    file.worker_pid,
                    file.generation,
                    file.started,
                    file.host,
                    file.port,
                    [dict(zip(("host", "port", "security"), each, strict=True)) for each in file.listening or ()],
                )
            )
    return found


def stop_orphan(name: str, *, patience_s: float = 0.0) -> bool:
    """End the worker of a kernel that has lost its hub, and remove what is left; False when it is not so.

    Args:
        name: of the kernel.
        patience_s: for how many seconds to wait for the end of a hub that is still there.
    """
    if is_on_other_machine(name):
        from rpyc_kernel.client import ssh

        target = ssh.parse_kernel(name)
        return bool(ssh.ask(target, {"do": "stop_orphan", "name": target.name}))
    if "://" in name or os.sep in name:
        return False
    place = find(check_name(name))
    if not place.has_worker or (place.has_hub and not patience_s):
        return False
    try:
        place.folder.lock(max(patience_s, LOCK_PATIENCE_S))  # or a hub that starts now would take up what is removed
    except KernelExists:
        return False
    try:
        place = place.read_again()
        had_worker = _end_worker(place)
        if had_worker or place.file is None:
            if place.runtime is not None:
                place.runtime.remove()
            place.folder.leave()
        return had_worker
    finally:
        place.folder.unlock()


def kill_worker(name: str) -> bool:
    """End the worker of a kernel, whether or not there is a hub that would start the next; False when there is none."""
    return _end_worker(find(check_name(name)))


def user_name() -> str:
    """The name to show for this user: what the environment says, else "user"."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "user"


def _absolute(file: str | os.PathLike[str] | None) -> str:
    """The same for a hub, which runs in another folder."""
    return os.path.abspath(file) if file else ""


def _end_worker(place: Whereabouts) -> bool:
    if place.file is None or place.file.worker_pid is None or not place.has_worker:
        return False
    processes.kill(place.file.worker_pid)
    processes.AdoptedProcess(place.file.worker_pid).wait()
    return True


__all__ = ["KernelInfo", "connect", "kernels", "kill_worker", "launch", "start", "stop_orphan"]
