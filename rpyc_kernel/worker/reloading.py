"""Takes modules of the user's that have changed on disk out of the interpreter, and imports them anew.

They are imported as new modules: `importlib.reload` would run the new source in the old namespace, where what the
source no longer has would stay, and where each module would have to come before all that import from it. What was made
by the old ones stays as it is, and whole: its code goes on to see the namespace that it was written for.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any, NamedTuple

from rpyc_kernel.worker import imports
from rpyc_kernel.worker.compiler_warnings import unheard
from rpyc_kernel.worker.static_access import own_dict
from rpyc_kernel.worker.user_frames import hidden

_FOREIGN = ("site-packages", "dist-packages")
_OURS = ("rpyc_kernel", "rpyc", "plumbum")
_MISSING: Any = object()


class Reloaded(NamedTuple):
    """What came of it: names of modules."""

    anew: list[str]
    gone: list[str]


def reload_changed(namespace: dict[str, Any]) -> Reloaded:
    """Import anew what has changed, what imports from it, and what is in a package that has; all of it, or nothing.

    Variables that are one of the old modules become the new one; all else that came from them stays.

    Args:
        namespace: where variables are.

    Raises:
        ImportError: one of them cannot be imported; its cause says why.
    """
    users = _list_users()
    changed = {name for name, file in users.items() if _has_changed(name, file)}
    if not changed:
        return Reloaded([], [])
    chosen = _with_dependents(changed, users)
    # Where modules import one another, it may matter with which one it begins.
    names = [name for name in dict.fromkeys((*imports.list_sought(), *users)) if name in chosen]
    before = dict(sys.modules)
    with _all_or_nothing(names, before):
        for name in names:
            _take_away(name)
        for name in changed:
            _forget_bytecode(users[name])
        found = [name for name in names if _import(name)]
    for name in found:
        _give_back_children(name)
    for variable, value in [*namespace.items()]:
        name = next((each for each in found if value is before[each]), "")
        if name:
            namespace[variable] = sys.modules[name]
    return Reloaded(sorted(found), sorted({*names} - {*found}))


def _list_users() -> dict[str, str]:
    """The modules of the user's that are imported by their names, each with its source."""
    foreign = _list_foreign()
    return {
        name: file
        for name, module in [*sys.modules.items()]
        if (file := _source_of(name, module, foreign))
        # What nobody has looked for was made by hand of a file, and is not found by its name.
        and (imports.was_sought(name) or not imports.are_times_noted())
    }


def _source_of(name: str, module: ModuleType, foreign: tuple[str, ...]) -> str:
    """The source of a module that is the user's own, "" of all others, and of those without one."""
    spec = own_dict(module).get("__spec__")  # it may be any object, whose `__getattr__` does anything
    if name.partition(".")[0] in _OURS or name == "__main__" or not isinstance(spec, ModuleSpec):
        return ""
    if not isinstance(spec.loader, SourceFileLoader) or not isinstance(spec.origin, str):
        return ""
    return spec.origin if _is_of_user(spec.origin, foreign) else ""


def _is_of_user(file: str, foreign: tuple[str, ...]) -> bool:
    """Whether a source is in no folder of Python's, of installed packages, or of the kernel's."""
    for find in (os.path.abspath, os.path.realpath):  # the second asks the system for each part
        path = find(file)
        if path.startswith(foreign) or any(part in path.split(os.sep) for part in _FOREIGN):
            return False
    return True


def _list_foreign() -> tuple[str, ...]:
    """What the paths of Python's own sources, and of the kernel's, begin with."""
    folders = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    return (*hidden(), *(os.path.join(os.path.realpath(each), "") for each in folders if each))


def _has_changed(name: str, file: str) -> bool:
    """Whether the source has changed since the module was looked for, or is gone.

    Some programs make modules of files that never were; those that nobody has looked for are such.
    """
    try:
        return os.stat(file).st_ctime_ns >= imports.sought_ns(name)  # which, unlike the other, nobody sets back
    except OSError:
        return imports.was_sought(name)


def _with_dependents(changed: set[str], users: dict[str, str]) -> set[str]:
    """The same with what imports from them, and what is in a package among them."""
    imported = {name: _imports_of(name, file) for name, file in users.items()}
    while True:
        more = {
            name
            for name in users
            if name not in changed
            and (imported[name] & changed or any(name.startswith(f"{package}.") for package in changed))
        }
        if not more:
            return changed
        changed = changed | more


def _imports_of(name: str, file: str) -> set[str]:
    """What a module's source says that it imports; as much as can be read of it."""
    try:
        with open(file, "rb") as source, unheard() as shown:
            tree = ast.parse(source.read(), shown)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    package = str(own_dict(sys.modules[name]).get("__package__") or "")
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                with contextlib.suppress(ImportError):
                    base = importlib.util.resolve_name("." * node.level + base, package)
            found.add(base)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found | {parent for each in found for parent in _parents(each)}


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name


def _take_away(name: str) -> None:
    sys.modules.pop(name, None)
    _tell_package(name, _MISSING)  # `from package import child` looks there first


def _known_to_package(name: str) -> Any:
    """What a module's package has under its name: the module, or what hides that, as a function of the same name."""
    package, _, child = name.rpartition(".")
    return own_dict(sys.modules.get(package)).get(child, _MISSING)


def _tell_package(name: str, known: Any) -> None:
    package, _, child = name.rpartition(".")
    module = sys.modules.get(package)
    if not isinstance(module, ModuleType):  # there is none, or what somebody has put in its place
        return
    if known is _MISSING:
        vars(module).pop(child, None)
    else:
        vars(module)[child] = known


def _forget_bytecode(file: str) -> None:
    """Remove the compiled form, which holds for any source of the same length and the same second."""
    with contextlib.suppress(OSError, NotImplementedError):
        os.unlink(importlib.util.cache_from_source(file))


def _import(name: str) -> bool:
    """Import a module, if it can still be found; whether it can."""
    try:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            return False
    except ModuleNotFoundError as error:
        if error.name and name.startswith(f"{error.name}."):  # a package of its own is gone
            return False
        raise _refuse(name, error) from error
    except (Exception, SystemExit) as error:
        raise _refuse(name, error) from error
    try:
        __import__(name)  # which leaves the import system's own frames out of what is raised
    except (Exception, SystemExit) as error:  # the program has not even begun, which could end so
        raise _refuse(name, error) from error
    return True


def _refuse(name: str, error: Exception | SystemExit) -> ImportError:
    what = "a syntax error" if isinstance(error, SyntaxError) else type(error).__name__
    # It may be in another one, which this one imports.
    at = getattr(error, "filename", None) if isinstance(error, SyntaxError) else None
    where = f" in {at}, line {error.lineno}" if at and isinstance(error, SyntaxError) else ""
    return ImportError(
        f"the module {name!r}, or what it imports, has changed and cannot be reloaded, for {what}{where}; the program "
        "was not run, and the modules are as they were",
        name=name,
    )


@contextlib.contextmanager
def _all_or_nothing(names: list[str], before: dict[str, ModuleType]) -> Iterator[None]:
    """Have modules be as they were if something is raised."""
    sought = {name: imports.sought_ns(name) for name in names}
    known = {name: _known_to_package(name) for name in names}
    try:
        yield
    except BaseException:
        for name in [name for name in _list_users() if name not in before]:
            _take_away(name)  # it may have imported from one of the new ones
        sys.modules.update({name: before[name] for name in names})
        for name in names:
            _tell_package(name, known[name])
            imports.remember_sought(name, sought[name])
        raise


def _give_back_children(package: str) -> None:
    """Have a new package know what is in it that was left alone: extension modules."""
    start = f"{package}."
    for name, module in [*sys.modules.items()]:
        if name.startswith(start) and "." not in name[len(start) :]:
            vars(sys.modules[package]).setdefault(name[len(start) :], module)
