"""A hub fails loudly or not at all: whatever nobody has caught is written to its log, and ends it.

A thread that dies in silence leaves a kernel that looks well and does half of what it must, for ever. A hub that ends
costs little: the worker lives on, and the next hub takes over from the journal and from it. So threads that may meet
trouble of others', as those of connections do, catch it themselves, and all the rest is a fault of ours.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import NoReturn

_log = logging.getLogger(__name__)

EXIT_STATUS = 70
"""What a hub that failed exits with: EX_SOFTWARE of sysexits.h."""


def end_hub(doing: str, error: BaseException) -> NoReturn:
    """End this process at once, without another word to anybody but the log."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    _log.critical("%s failed, and the hub ends; the next one takes over the worker\n%s", doing, text)
    logging.shutdown()
    os._exit(EXIT_STATUS)


def watch_threads() -> None:
    """From now on, an exception that leaves a thread ends this process, and none anywhere goes without being logged."""
    threading.excepthook = _end_with_thread
    sys.excepthook = _log_last
    sys.unraisablehook = _log_unraisable


def _end_with_thread(raised: threading.ExceptHookArgs) -> None:
    error = raised.exc_value or raised.exc_type()
    end_hub(f"thread {raised.thread.name if raised.thread else 'without a name'}", error)


def _log_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("the hub ends because of an error", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    error = unraisable.exc_value
    # Only the type of the object is named: its repr may run anything.
    _log.error(
        "an error could not be raised (%s in %s)",
        unraisable.err_msg or "a finalizer",
        type(unraisable.object).__name__,
        exc_info=error if error is None else (type(error), error, unraisable.exc_traceback),
    )
