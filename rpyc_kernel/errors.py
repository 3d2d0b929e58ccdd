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
    │   ├── NotAsked            answering a prompt that nobody asked
    │   ├── NotAvailable        a value that is no longer, or never was, kept
    │   ├── NotPlain            a value that only a pickle could carry
    │   └── NotPermitted        the role of the connection does not allow it
    ├── ExecutionError          the user code's: it raised
    │   └── ExecutionInterrupted  … because somebody interrupted it
    ├── ExecutionDropped        it never ran: cancelled, or aborted behind an error of its session
    ├── KernelDied              the worker's: the process that held the namespace is gone
    ├── WorkerBusy              the worker's: it does not answer now
    └── ConnectionFailed        the connection's
        ├── AuthenticationFailed  the two sides do not share a key
        ├── VersionMismatch     they speak different versions of the protocol, as hub and worker may, too
        ├── ConnectionLost      it was there and is gone
        └── CallTimeout         no answer in the time that was given

Errors cross the wire as their class name and message, and the client raises its own class of that name.
"""

from __future__ import annotations


class KernelError(Exception):
    """The root of every error of this package."""


class RequestError(KernelError):
    """The caller asked for something wrong, or impossible at the moment."""


class BadName(RequestError, ValueError):
    """A name that no kernel can have."""


class BadCode(RequestError, ValueError):
    """Source code that cannot be submitted at all."""


class NoSuchKernel(RequestError, LookupError):
    """No kernel answers to this name or address."""


class KernelExists(RequestError):
    """A kernel of this name is running already."""


class NoSuchExecution(RequestError, LookupError):
    """This execution number was never given out."""


class NotQueued(RequestError):
    """Only a queued execution can be cancelled, and this one is not."""


class NotRunning(RequestError):
    """Only a running execution can be interrupted, and this one is not."""


class NotAsked(RequestError):
    """No prompt is waiting for this answer."""


class NotAvailable(RequestError, LookupError):
    """The worker does not hold this value (any more)."""


class NotPlain(RequestError, TypeError):
    """This value could only travel as a pickle, which runs code where it is opened."""


class NotPermitted(RequestError, PermissionError):
    """The role of the connection does not allow this."""


class ExecutionError(KernelError):
    """The user's code raised an exception, or was stopped by one.

    Attributes:
        ename: the exception's class name, as ``ZeroDivisionError``.
        evalue: its message.
        traceback: the formatted traceback, user frames only.
        execution: the number of the execution, or None.
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
    """The execution ended because it was interrupted."""


class ExecutionDropped(KernelError):
    """The execution was cancelled or aborted before it ran.

    Attributes:
        outcome: ``"cancelled"`` or ``"aborted"``.
        execution: its number.
    """

    def __init__(self, message: str, outcome: str = "cancelled", execution: int | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.execution = execution


class KernelDied(KernelError):
    """The worker process is gone, and with it what it was running.

    Attributes:
        reason: what is known of the end, as ``killed by SIGSEGV``.
        generation: the generation that died.
        stack: the last Python stack, where one could be had, else "".
    """

    def __init__(self, message: str, reason: str = "", generation: int = 0, stack: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.generation = generation
        self.stack = stack


class WorkerBusy(KernelError, TimeoutError):
    """The worker did not answer in time; most often a C call holds the interpreter lock."""


class ConnectionFailed(KernelError, ConnectionError):
    """The connection to a kernel could not be made or kept."""


class AuthenticationFailed(ConnectionFailed):
    """The two sides do not share a key."""


class VersionMismatch(ConnectionFailed):
    """The two sides speak different versions of the protocol."""


class ConnectionLost(ConnectionFailed, EOFError):
    """The connection was there and is gone; the kernel may well go on."""


class CallTimeout(ConnectionFailed, TimeoutError):
    """The kernel gave no answer in the time allowed."""


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
