"""What user code runs in: folder, environment, module path, interpreter, packages."""

from __future__ import annotations

import os
import platform
import sys

from rpyc_kernel.core.introspection import Package, Python
from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker import imports
from rpyc_kernel.worker.static_access import clean

_MAX_PACKAGES = 10_000


def get_cwd() -> str:
    """The current folder."""
    return clean(os.getcwd())


def set_cwd(folder: str) -> str:
    """Go to another folder; returns its full path."""
    try:
        os.chdir(os.path.expanduser(folder))
    except (OSError, ValueError) as error:
        raise RequestError(f"cannot go to {folder[:200]!r}: {error}") from None
    return get_cwd()


def get_environment() -> list[tuple[str, str]]:
    """The environment's variables."""
    return [(clean(name), clean(value)) for name, value in sorted(os.environ.copy().items())]


def set_environment(name: str, value: str | None) -> None:
    """Set one variable of the environment, or take it away."""
    try:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    except (OSError, ValueError) as error:
        raise RequestError(f"the environment takes no variable {name[:100]!r}: {error}") from None


def get_module_path() -> list[str]:
    """Where modules are looked for."""
    return [clean(entry) for entry in [*sys.path] if type(entry) is str]


def set_module_path(entries: list[str]) -> None:
    """Have modules looked for elsewhere."""
    sys.path[:] = entries


def describe_python(engine: str) -> Python:
    """The interpreter."""
    return Python(
        platform.python_version(),
        platform.python_implementation(),
        clean(sys.executable),
        clean(sys.prefix),
        clean(sys.base_prefix),
        platform.platform(),
        os.getpid(),
        engine,
    )


@imports.for_kernel()
def list_packages() -> list[Package]:
    """The installed distributions."""
    from importlib import metadata

    found = {
        name.lower(): Package(clean(name), clean(each.version or ""))
        for each in metadata.distributions()
        if (name := each.metadata["Name"])
    }
    return [found[name] for name in sorted(found)][:_MAX_PACKAGES]
