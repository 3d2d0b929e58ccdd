"""What this face needs beyond the package itself, and what is said where that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from rpyc_kernel.errors import RequestError


@contextmanager
def needing_extra() -> Iterator[None]:
    """Import parts of this face inside of it.

    Raises:
        RequestError: a package that they need is not installed; the message says how to install all of them.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", __name__.partition(".")[0]):
            raise  # a fault of ours
        raise _lack(package) from None


def require(package: str) -> None:
    """Find out early whether a package is there, without loading it.

    Raises:
        RequestError: it is not installed; the message is the same.
    """
    if find_spec(package) is None:
        raise _lack(package)


def _lack(package: str) -> RequestError:
    from rpyc_kernel.system.own_command import way_to_install  # what it loads, a bridge does not need

    return RequestError(
        f"{sys.executable} has no {package}, which the Jupyter face needs; install it there: "
        f"{way_to_install('jupyter')}"
    )
