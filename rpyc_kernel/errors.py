"""Everything that can go wrong, as one tree whose branches say whose fault it is.

    KernelError
    ├── RequestError            the caller's: asked for something that is wrong or impossible now
    │   ├── BadName             a kernel's name that cannot be one
    │   ├── BadCode             source that cannot be submitted at all (too long, lone surrogates)
    │   ├── NoSuchKernel        no kernel answers to that name or address
    │   ├── KernelExists        a kernel of that name is running already
    │   ├── NoSuchExecution     an execution number that was never given out
    │   ├── NotQueued           cancelling what has started or finished
    │   ├── NotRunning          interrupting what does not run
    │   ├── NotAsked            answering a prompt that nobody asked, approving what waits for no approval
    │   ├── NotAvailable        a value that is no longer, or never was, kept
    │   ├── NotPlain            a value that only a pickle could carry
    │   └── NotPermitted        the role of the connection does not allow it
    ├── ExecutionError          the user code's: it raised
    │   ├── ExecutionInterrupted  … because somebody interrupted it
    │   └── ChainFailed         … at a link of a lazy chain
    ├── ExecutionDropped        it never ran: cancelled, or aborted behind an error of its session
    ├── GroupFailed             one or more kernels of a group have failed at what all were asked
    ├── KernelDied              the worker's: the process that held the namespace is gone
    ├── WorkerBusy              the worker's: it does not answer now
    └── ConnectionFailed        the connection's
        ├── AuthenticationFailed  the two sides do not share a key
        │   └── CertificateChanged  the server shows another certificate than the one that was told of
        ├── VersionMismatch     they speak different versions of the protocol, as hub and worker may, too
        ├── ConnectionLost      it was there and is gone
        └── CallTimeout         no answer in the time that was given

Errors cross the wire as their class name and message, and the client raises its own class of that name.
"""

from __future__ import annotations

from typing import Any


class KernelError(Exception):
    """The root of every error of this package.

    Example:
        >>> try:
        ...     rpyc_kernel.connect("nobody")
        ... except rpyc_kernel.KernelError as error:
        ...     type(error).__name__
        'NoSuchKernel'
    """


class RequestError(KernelError):
    """The caller asked for something wrong, or impossible at the moment.

    Example:
        >>> kernel.submit("1", lane="middle")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.RequestError: unknown lane 'middle'; choose 'main' or 'side'
    """


class BadName(RequestError, ValueError):
    """A name that no kernel can have.

    Example:
        >>> rpyc_kernel.connect("no name")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.BadName: 'no name' cannot name a kernel; use up to 64 letters, digits, ...
    """


class BadCode(RequestError, ValueError):
    """Source code that cannot be submitted at all.

    Example:
        >>> kernel.submit("name = '" + chr(0xD800) + "'")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.BadCode: the code ...
    """


class NoSuchKernel(RequestError, LookupError):
    """No kernel answers to this name or address.

    Example:
        >>> rpyc_kernel.connect("nobody")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NoSuchKernel: kernel 'nobody' is not running; start it with 'rpyc-kernel start nobody'
    """


class KernelExists(RequestError):
    """A kernel of this name is running already.

    Example:
        >>> rpyc_kernel.start("demo")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.KernelExists: kernel 'demo' is running already (...); connect to it, as with ...
    """


class NoSuchExecution(RequestError, LookupError):
    """This execution number was never given out.

    Example:
        >>> kernel.execution(1_000_000)
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NoSuchExecution: there is no execution 1000000...
    """


class NotQueued(RequestError):
    """Only a queued execution can be cancelled, and this one is not.

    Example:
        >>> kernel.cancel(kernel.execute("1").id)
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NotQueued: execution ... has finished already; there is nothing to cancel
    """


class NotRunning(RequestError):
    """Only a running execution can be interrupted, and this one is not.

    Example:
        >>> kernel.interrupt().status  # where a client that calls the hub by itself gets the error
        'not-running'
    """


class NotAsked(RequestError):
    """No prompt is waiting for this answer, or no execution for this approval.

    Example:
        >>> kernel.answer_input("yes")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NotAsked: nothing waits for input
    """


class NotAvailable(RequestError, LookupError):
    """The worker does not hold this value (any more).

    Example:
        >>> kernel.children("nothing_of_this_name")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NotAvailable: ...
    """


class NotPlain(RequestError, TypeError):
    """This value could only travel as a pickle, which runs code where it is opened.

    Example:
        >>> kernel.pull("object()")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NotPlain: a builtins.object cannot travel as plain data, ...
    """


class NotPermitted(RequestError, PermissionError):
    """The role of the connection does not allow this.

    Example:
        >>> with rpyc_kernel.connect("demo", role="viewer", name="guest") as guest:
        ...     guest.execute("1")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.NotPermitted: 'guest' is here as viewer; it cannot execute code
    """


class ExecutionError(KernelError):
    """The user's code raised an exception, or was stopped by one.

    Attributes:
        ename: the exception's class name, as ``ZeroDivisionError``.
        evalue: its message.
        traceback: the formatted traceback, user frames only.
        execution: the number of the execution, or None.

    Example:
        >>> error = kernel.submit("1 / 0").exception()
        >>> error.ename, error.evalue
        ('ZeroDivisionError', 'division by zero')
    """

    def __init__(self, ename: str, evalue: str, traceback: str = "", execution: int | None = None) -> None:
        super().__init__(ename, evalue)
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback
        self.execution = execution

    def __str__(self) -> str:
        return self.traceback.rstrip() or f"{self.ename}: {self.evalue}"


class ExecutionInterrupted(ExecutionError):
    """The execution ended because it was interrupted.

    Example:
        >>> run = kernel.submit("while True: pass")
        >>> started = next(event for event in run.events() if event.kind == "started")
        >>> stopped = run.interrupt()
        >>> isinstance(run.exception(), rpyc_kernel.ExecutionInterrupted)
        True
    """


class ChainFailed(ExecutionError):
    """A link of a lazy chain raised in the kernel; what stands behind it was not done.

    Attributes:
        link: which one, as it would be typed.
        chain: all of it, as it would be typed; with the link between » and « where its text stands there again.

    Example:
        >>> kernel.push(ages={"Ada": 36})
        >>> try:
        ...     kernel.lazy.ages["Grace"].bit_length().get()
        ... except rpyc_kernel.ChainFailed as error:
        ...     print(error)
        ...     error.ename, error.link
        lazy chain failed at ['Grace'] of ages['Grace'].bit_length(): KeyError: 'Grace'
        ('KeyError', "['Grace']")
    """

    def __init__(self, ename: str, evalue: str, traceback: str = "", link: str = "", chain: str = "") -> None:
        super().__init__(ename, evalue, traceback)
        self.link = link
        self.chain = chain

    def __str__(self) -> str:
        where = self.link if self.link == self.chain else f"{self.link} of {self.chain}"
        what = f"{self.ename}: {self.evalue}" if self.evalue else self.ename
        frames = f"\n{self.traceback.rstrip()}" if "\n  File " in self.traceback else ""
        return f"lazy chain failed at {where}: {what}{frames}"


class ExecutionDropped(KernelError):
    """The execution was cancelled or aborted before it ran.

    Attributes:
        outcome: ``"cancelled"`` or ``"aborted"``.
        execution: its number.

    Example:
        >>> asking = kernel.submit("input()")
        >>> waiting = kernel.submit("1")
        >>> waiting.cancel()
        True
        >>> waiting.exception().outcome
        'cancelled'
        >>> stopped = asking.interrupt()
    """

    def __init__(self, message: str, outcome: str = "cancelled", execution: int | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.execution = execution


class GroupFailed(KernelError):
    """Some kernels of a group have failed at what all of them were asked; the others have done it.

    Attributes:
        errors: what each of those raised, by the kernel's name in the group.
        results: what the others have answered, by name.

    Example:
        >>> with rpyc_kernel.group(["demo"]) as group:
        ...     try:
        ...         group.execute("1 / 0")
        ...     except rpyc_kernel.GroupFailed as failed:
        ...         failed.errors["demo"].ename
        'ZeroDivisionError'
    """

    def __init__(self, message: str, errors: dict[str, Exception], results: dict[str, Any]) -> None:
        super().__init__(message)
        self.errors = errors
        self.results = results

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.errors, self.results)


class KernelDied(KernelError):
    """The worker process is gone, and with it what it was running.

    Attributes:
        reason: what is known of the end, as ``killed by SIGSEGV``.
        generation: the generation that died.
        stack: the last Python stack, where one could be had, else "".

    Example:
        >>> error = kernel.submit("import os; os._exit(3)").exception()
        >>> error.reason
        'exited with status 3'
    """

    def __init__(self, message: str, reason: str = "", generation: int = 0, stack: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.generation = generation
        self.stack = stack


class WorkerBusy(KernelError, TimeoutError):
    """The worker did not answer in time; most often a C call holds the interpreter lock.

    Example:
        >>> kernel.eval("6 * 7")  # at once, and connected from now on
        42
        >>> kernel.eval("__import__('time').sleep(0.5)", timeout=0.05)
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.WorkerBusy: ...
    """


class ConnectionFailed(KernelError, ConnectionError):
    """The connection to a kernel could not be made or kept.

    Example:
        >>> rpyc_kernel.connect("unix:///nowhere/hub.sock", key="00")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.ConnectionFailed: ...
    """


class AuthenticationFailed(ConnectionFailed):
    """The two sides do not share a key.

    Example:
        >>> port = next(found.port for found in rpyc_kernel.kernels() if found.name == "demo")
        >>> rpyc_kernel.connect(f"tcp://127.0.0.1:{port}", key="00")
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.AuthenticationFailed: ...
    """


class CertificateChanged(AuthenticationFailed):
    """The server shows another certificate than the connect string tells: it may be somebody in the middle.

    Example:
        >>> issubclass(rpyc_kernel.CertificateChanged, rpyc_kernel.AuthenticationFailed)
        True
    """


class VersionMismatch(ConnectionFailed):
    """The two sides speak different versions of the protocol.

    Example:
        >>> issubclass(rpyc_kernel.VersionMismatch, rpyc_kernel.ConnectionFailed)
        True
    """


class ConnectionLost(ConnectionFailed, EOFError):
    """The connection was there and is gone; the kernel may well go on.

    Example:
        >>> client = rpyc_kernel.connect("demo")
        >>> client.close()
        >>> client.status()
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.ConnectionLost: ...
    """


class CallTimeout(ConnectionFailed, TimeoutError):
    """The kernel gave no answer in the time allowed.

    Example:
        >>> kernel.pull("__import__('time').sleep(0.5)", timeout=0.05)
        Traceback (most recent call last):
            ...
        rpyc_kernel.errors.CallTimeout: ...
    """


_BY_NAME = {
    error.__name__: error
    for error in (
        RequestError, BadName, BadCode, NoSuchKernel, KernelExists, NoSuchExecution, NotQueued, NotRunning, NotAsked,
        NotAvailable, NotPlain, NotPermitted, KernelDied, WorkerBusy, ConnectionLost, VersionMismatch, KernelError,
    )
}  # fmt: skip


def from_name(class_name: str, message: str) -> KernelError:
    """Build this side's error for one that crossed the wire as ``class_name`` and ``message``."""
    error = _BY_NAME.get(class_name)
    return error(message) if error else KernelError(f"{class_name}: {message}")


def own_error(error: Any) -> Any:
    """Our own class for an error of ours that was raised on the other side; any other as it is."""
    module, _, name = getattr(error, "remote_type", "").rpartition(".")
    if module != __name__:
        return error
    return from_name(name, str(error.args[0]) if error.args else "")
