"""Starts kernels and connects to them, for event loops. `python scripts/aio_client.py` writes this file."""

from __future__ import annotations

import os
from collections.abc import Callable

from anyio import to_thread

from rpyc_kernel.aio.opening import Opening
from rpyc_kernel.client import attaching, launch
from rpyc_kernel.client.arguments import check_arguments
from rpyc_kernel.client.launch import KernelInfo
from rpyc_kernel.settings import (
    DEFAULT_SWITCH_INTERVAL_S,
    KEEP_OUTPUT,
    RECONNECT_S,
    Face,
)


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
) -> Opening:
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
    """
    return Opening(
        launch.start,
        name,
        engine=engine,
        python=python,
        cwd=cwd,
        env=env,
        listen=listen,
        tls=tls,
        insecure=insecure,
        certificate=certificate,
        private_key=private_key,
        client_ca=client_ca,
        announce=announce,
        switch_interval=switch_interval,
        profile=profile,
        nice=nice,
        idle_timeout=idle_timeout,
        face=face,
        session=session,
        client_name=client_name,
        is_private=is_private,
        standard_input=standard_input,
        timeout=timeout,
        silence=silence,
        keep_output=keep_output,
        reconnect=reconnect,
    )


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
) -> Opening:
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
        on_loss: called in the loop with what there is to say when the connection is lost, and with "" when it is
            there again.

    Returns:
        A client. Leave it by `close`, or use it in an ``async with`` statement; the kernel goes on.

    Raises:
        NoSuchKernel: there is none.
        RequestError: the target cannot be understood, or the key is missing.
        ConnectionFailed: or one of its kinds, such as `AuthenticationFailed`.
    """
    return Opening(
        launch.connect,
        target,
        session=session,
        name=name,
        role=role,
        joins=joins,
        key=key,
        timeout=timeout,
        silence=silence,
        keep_output=keep_output,
        reconnect=reconnect,
        on_loss=on_loss,
    )


@check_arguments
def attach(
    pid: int,
    name: str | None = None,
    *,
    sudo: bool = False,
    timeout: float = 30.0,
    on_wait: Callable[[str], None] | None = None,
) -> Opening:
    """Open a kernel in a Python process that runs, and connect to it; the process goes on with its own work.

    Both Pythons must be 3.14 or newer, of the same minor version, and the process this user's. It needs nothing of
    this package: what it lacks it gets from where this process has it. Executions run in a thread of the kernel's own,
    in the names of the process's ``__main__``. When the kernel is stopped the process is as it was.

    Args:
        pid: the number of the process.
        name: the kernel's name, None for ``attached-PID``.
        sudo: have sudo hand the request to the process, where this user may not.
        timeout: for how many seconds to wait until its main thread comes to a line of Python: one that waits in the
            system, or in code of C, comes to none.
        on_wait: called with what is waited for, when that takes more than a second.

    Returns:
        A client, as of `connect`.

    Raises:
        RequestError: it is no process that one can attach to; the message says why, and what to do.
        KernelExists: a kernel of this name runs.
        CallTimeout: the process has come to no line of Python in time; nothing was changed in it.
        KernelError: it has ended meanwhile, or no kernel can be opened in it.
    """
    return Opening(attaching.attach, pid, name, sudo=sudo, timeout=timeout, on_wait=on_wait)


@check_arguments
async def kernels(host: str | None = None) -> list[KernelInfo]:
    """Find the kernels of this user on this machine, or on another one.

    Args:
        host: the other machine, ``ssh://[user@]host[:port]/``; None for this one.

    Returns:
        Those that run, and those whose worker waits for a hub, by name.

    Raises:
        ConnectionFailed: the other machine cannot be reached.
    """
    return await to_thread.run_sync(launch.kernels, host)
