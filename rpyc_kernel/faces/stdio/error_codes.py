"""Errors as JSON-RPC tells them: a code for each of the package's, and those of the protocols."""

from __future__ import annotations

from typing import Any, Final

from rpyc_kernel import errors

NOT_JSON: Final = -32700
NO_REQUEST: Final = -32600
NO_METHOD: Final = -32601
WRONG_PARAMETERS: Final = -32602
INTERNAL: Final = -32603
CANCELLED: Final = -32800
TOO_MANY: Final = -32050
NOT_ADMITTED: Final = -32051

PROTOCOL_CODES: Final[dict[int, str]] = {
    NOT_JSON: "what came is no JSON, or no message",
    NO_REQUEST: "the message is no request, or its id is in use",
    NO_METHOD: "there is no such method",
    WRONG_PARAMETERS: "the parameters are not what the method takes",
    INTERNAL: "the server failed at it; its standard error says more",
    CANCELLED: "the request was cancelled",
    TOO_MANY: "more requests wait for an answer than the server keeps; ask again when some have it",
    NOT_ADMITTED: "a server that listens wants its key first, as `key` of `initialize`",
}

# In the order of the tree, and never given to another: clients know them by number.
CODES: Final[dict[type[errors.KernelError], int]] = {
    errors.KernelError: -32000,
    errors.RequestError: -32001,
    errors.BadName: -32002,
    errors.BadCode: -32003,
    errors.NoSuchKernel: -32004,
    errors.KernelExists: -32005,
    errors.NoSuchExecution: -32006,
    errors.NotQueued: -32007,
    errors.NotRunning: -32008,
    errors.NotAsked: -32009,
    errors.NotAvailable: -32010,
    errors.NotPlain: -32011,
    errors.NotPermitted: -32012,
    errors.ExecutionError: -32020,
    errors.ExecutionInterrupted: -32021,
    errors.ExecutionDropped: -32022,
    errors.KernelDied: -32023,
    errors.WorkerBusy: -32024,
    errors.ConnectionFailed: -32030,
    errors.AuthenticationFailed: -32031,
    errors.CertificateChanged: -32032,
    errors.VersionMismatch: -32033,
    errors.ConnectionLost: -32034,
    errors.CallTimeout: -32035,
}


class RpcError(Exception):
    """An error of the protocol's own.

    Args:
        code: its code.
        message: what happened, and what to do.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def describe_error(error: BaseException) -> dict[str, Any]:
    """An error as a response has it."""
    if isinstance(error, RpcError):
        return {"code": error.code, "message": str(error)}
    kind: type[errors.KernelError] = next(each for each in type(error).__mro__ if each in CODES)
    return {"code": CODES[kind], "message": str(error), "data": {"type": kind.__name__}}
