"""How live objects are read without running their code: statically, as the interpreter itself has them.

Code of the standard library and of the packages in `_TRUSTED` may run, as it is known to come back.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any

from rpyc_kernel.errors import NotAvailable


class _Missing:
    """Not there, or not to be had without running code."""


MISSING: Any = _Missing()

_TRUSTED = frozenset({*sys.stdlib_module_names, "numpy", "pandas"})
_FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
)
_FUNCTION_TYPES = frozenset({"cython_function_or_method", "_ArrayFunctionDispatcher", "_lru_cache_wrapper", "ufunc"})
_module_of = type.__dict__["__module__"].__get__
_mro_of = type.__dict__["__mro__"].__get__
_name_of = type.__dict__["__name__"].__get__
_qualified_name_of = type.__dict__["__qualname__"].__get__
_dict_of = type.__dict__["__dict__"].__get__


def lineage(kind: type) -> tuple[type, ...]:
    """A class and its bases, without asking its metaclass."""
    bases: tuple[type, ...] = _mro_of(kind)
    return bases


def type_name(value: Any) -> str:
    """The name of a value's type, without asking a metaclass."""
    return clean(_name_of(type(value)))


def full_name(kind: type) -> str:
    """A class's module and name, without asking its metaclass."""
    return clean(".".join([module_name(kind) or "?", _qualified_name_of(kind)]))


def module_name(kind: type) -> str:
    """The module a class says it is from, "" if it says anything but a name."""
    try:
        module = _module_of(kind)
    except AttributeError:  # it was deleted
        return ""
    return module if type(module) is str else ""


def class_dict(kind: type) -> Mapping[str, Any]:
    """What stands in the class itself."""
    found: Mapping[str, Any] = _dict_of(kind)
    return found


def own_dict(value: Any) -> dict[str, Any]:
    """A copy of what stands in the object itself."""
    found = find_in_lineage(type(value), "__dict__")
    if type(found) not in (types.GetSetDescriptorType, types.MemberDescriptorType):
        return {}
    try:
        attributes = found.__get__(value)
    except (AttributeError, TypeError):  # none was made yet, or it is that of another type
        return {}
    if type(attributes) in (dict, types.MappingProxyType):
        return dict(attributes.copy())
    # Not even `dict.copy` leaves the methods of a derived class alone.
    pairs = [*dict.items(attributes)] if issubclass(type(attributes), dict) else []
    return {name: each for name, each in pairs if type(name) is str}


def find_in_lineage(kind: type, name: str) -> Any:
    """What a class or the nearest of its bases has under a name, as it stands there."""
    for base in _mro_of(kind):  # neither this nor what follows is called by its name here: it is asked for most
        found = _dict_of(base).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def is_foreign(value: Any) -> bool:
    """Whether the value is a proxy to an object in some client, which must not be asked anything."""
    for base in _mro_of(type(value)):
        if _name_of(base) == "BaseNetref" and module_name(base) == "rpyc.core.netref":
            return True
    return False


def is_class(value: Any) -> bool:
    """Whether it is one; `isinstance` would ask the value."""
    return issubclass(type(value), type)


def is_trusted(kind: type) -> bool:
    """Whether all the code of the type is of the standard library or of packages that are known."""
    return all(top_module(base) in _TRUSTED for base in lineage(kind))


def is_trusted_module(module: types.ModuleType) -> bool:
    """Whether it is one of those whose code is known."""
    name = own_dict(module).get("__name__")
    return type(name) is str and name.partition(".")[0] in _TRUSTED


def top_module(kind: type) -> str:
    """The package a class comes from."""
    return module_name(kind).partition(".")[0]


def is_of(value: Any, package: str, name: str) -> bool:
    """Whether the value's type is the package's class of that name, or one derived from it by trusted code."""
    return is_trusted(type(value)) and any(
        _name_of(base) == name and top_module(base) == package for base in lineage(type(value))
    )


def read_attribute(owner: Any, name: str) -> Any:
    """Return an attribute, or `MISSING` where there is none or where reading it would run code."""
    kind = type(owner)
    if is_foreign(owner) or type(find_in_lineage(kind, "__getattribute__")) is types.FunctionType:
        return MISSING
    if issubclass(kind, type):
        found = find_in_lineage(owner, name)
        if found is not MISSING:
            return _read_member(owner, name, found)
    found = find_in_lineage(kind, name)
    if found is MISSING or not is_data_descriptor(found):
        own = own_dict(owner).get(name, MISSING)
        if own is not MISSING:
            return own
    return MISSING if found is MISSING else bind(found, owner, kind)


def list_attributes(owner: Any) -> dict[str, Any]:
    """Return the names that an object has, each with what stands there; `MISSING` where only the object could tell."""
    if is_foreign(owner):
        return {}
    found: dict[str, Any] = {}
    kind = type(owner)
    for base in reversed(lineage(owner if issubclass(kind, type) else kind)):
        found.update(class_dict(base).copy())  # type: ignore[attr-defined] # both kinds of mapping have it
    if not issubclass(kind, type):
        found.update(own_dict(owner))
    if _has_trusted_listing(owner, kind):
        try:
            found.update((name, MISSING) for name in dir(owner) if name not in found)
        except Exception:  # noqa: BLE001 - it may be changed meanwhile
            return found
    return found


def kind_of(raw: Any) -> str:
    """What kind of thing an attribute or variable is, in the words of `Completion.kind`."""
    kind = type(raw)
    if issubclass(kind, type):
        return "class"
    if issubclass(kind, types.ModuleType):
        return "module"
    if issubclass(kind, (*_FUNCTIONS, classmethod, staticmethod)) or _name_of(kind) in _FUNCTION_TYPES:
        return "function"
    if find_in_lineage(kind, "__get__") is not MISSING:
        return "property"
    return "instance"


def is_data_descriptor(raw: Any) -> bool:
    """Whether it goes before what stands in the object itself."""
    return find_in_lineage(type(raw), "__set__") is not MISSING


def bind(raw: Any, owner: Any, kind: type) -> Any:
    """Return what reading a class's attribute gives, `MISSING` if that would run code."""
    if find_in_lineage(type(raw), "__get__") is MISSING:
        return raw
    if type(raw) in (classmethod, staticmethod) and type(raw.__func__) not in _FUNCTIONS:
        return MISSING
    if type(raw) in (types.MemberDescriptorType, types.GetSetDescriptorType):
        if owner is None:
            return raw
        if type(raw) is types.GetSetDescriptorType and top_module(raw.__objclass__) not in _TRUSTED:
            return MISSING
    elif type(raw) not in (*_FUNCTIONS, classmethod, staticmethod) and _name_of(type(raw)) not in _FUNCTION_TYPES:
        return MISSING
    try:
        return raw.__get__(owner, kind)
    except Exception:  # noqa: BLE001 - an empty slot, or the wrong type
        return MISSING


def is_name(key: object) -> bool:
    """Whether it can be sent to a client, and be a name in its code."""
    return type(key) is str and key.isprintable()


def clean(text: str) -> str:
    """Make a text one that any encoding carries."""
    return text.encode("utf-8", "backslashreplace").decode()


def nothing_at(path: str) -> NotAvailable:
    """The error for a path that leads nowhere."""
    return NotAvailable(f"there is nothing at {path!r} that can be read without running code")


def _read_member(owner: type, name: str, found: Any) -> Any:
    members = find_in_lineage(owner, "_member_map_")  # an enumeration keeps its members behind descriptors
    if type(members) is dict and name in members:
        return members[name]
    return bind(found, None, owner)


def _has_trusted_listing(owner: Any, kind: type) -> bool:
    if kind is types.ModuleType:
        return "__dir__" in own_dict(owner) and is_trusted_module(owner)
    return type(find_in_lineage(kind, "__dir__")) is types.FunctionType and is_trusted(kind)
