"""How exceptions cross the wire: in the format of RPyC's vinegar, but dumping and loading never fail.

A dump is ``((module, name), args, attributes, traceback text)``, all plain values. Notes, cause, context and the
members of a group travel among the attributes, where a stock peer keeps them without looking. A group travels under a
module name that no peer can import, since a stock peer that finds the class tries to build it without its members and
dies of that.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from rpyc.core import brine, consts, vinegar

from rpyc_kernel.wire import messages

_MAX_DEPTH: Final = 12  # of causes, contexts and groups within each other
_MAX_TEXT: Final = 64 * 1024
_GROUP_MODULE: Final = "remote group of "
_NOTES, _CAUSE, _CONTEXT = "__notes__", "_remote_cause", "_remote_context"
_SUPPRESS, _MEMBERS = "_remote_suppress_context", "_remote_members"
_CHAIN: Final = frozenset({_NOTES, _CAUSE, _CONTEXT, _SUPPRESS, _MEMBERS})
_Group: Final[type[BaseException] | None] = getattr(builtins, "BaseExceptionGroup", None)


class LostRemoteError(Exception):
    """Stands in for a remote exception that arrived in no readable form."""


def dump(error: BaseException, *, include_traceback: bool) -> Any:
    """The exception as plain values that brine can encode."""
    if type(error) is StopIteration and not error.args:
        return consts.EXC_STOP_ITERATION
    try:
        return _dump(error, include_traceback, set())
    except BaseException as failure:  # noqa: BLE001 - whatever an exception's own code does, an answer has to go out
        kind = type(error)
        reason = f"this exception could not be dumped: {type(failure).__name__}"
        return (str(kind.__module__), kind.__name__), (reason,), (), "<no traceback>"


def encode(seq: int, error: BaseException, max_bytes: int, *, include_traceback: bool) -> bytes:
    """The message that answers a request with an exception, or with what can be said of it in ``max_bytes``."""
    try:
        frame = messages.encode(consts.MSG_EXCEPTION, seq, dump(error, include_traceback=include_traceback))
        if len(frame) <= max_bytes:
            return frame
        reason = f"{type(error).__name__}, which is too large to be sent"
    except Exception as failure:  # noqa: BLE001 - an answer has to go out
        reason = f"{type(error).__name__}, which could not be sent: {type(failure).__name__}"
    return messages.encode(consts.MSG_EXCEPTION, seq, dump(RuntimeError(reason), include_traceback=False))


def load(dumped: Any, config: Mapping[str, Any]) -> BaseException:
    """Build a raisable exception from what the peer dumped.

    The class is one of Python's own, or of any module where ``config`` allows it (vinegar's three settings), or a
    stand-in of the same name. Every result has ``remote_type``, the class's full name at the peer.
    """
    try:
        return _load(dumped, config, _MAX_DEPTH)
    except Exception as failure:  # noqa: BLE001 - the peer's data; whatever is wrong with it, the waiter gets an error
        lost = LostRemoteError(f"the peer reported an error in a form that cannot be read: {failure!r}")
        lost.remote_type = ""  # type: ignore[attr-defined]
        return lost


def _dump(error: BaseException, include_traceback: bool, seen: set[int]) -> Any:
    seen.add(id(error))
    kind = type(error)
    module, is_group = str(kind.__module__), _Group is not None and isinstance(error, _Group)
    args = getattr(error, "args", ())
    attributes = _dump_attributes(error) + _dump_chain(error, include_traceback, seen)
    attributes.append(("_remote_version", vinegar.version.__version__))
    if is_group:
        members: tuple[BaseException, ...] = error.exceptions  # type: ignore[attr-defined]
        attributes.append((_MEMBERS, tuple(_dump(member, include_traceback, seen) for member in members[:1000])))
        module, args = _GROUP_MODULE + module, args[:1]
    text = _format(error, error.__traceback__) if include_traceback else "<traceback denied>"
    return (module, kind.__name__), tuple(_plain(arg) for arg in args), tuple(attributes), text


def _dump_attributes(error: BaseException) -> list[tuple[str, Any]]:
    attributes = []
    for name in _list_names(error):
        if name.startswith("_") or name in ("args", "with_traceback", "add_note", "remote_type"):
            continue
        try:
            value = getattr(error, name)
        except BaseException:  # noqa: BLE001, S112 - a property that raises is no attribute worth carrying
            continue
        if isinstance(error, OSError) and value is None:  # set to None they would hide the message
            continue
        if not callable(value) and not (_Group is not None and isinstance(error, _Group) and name == "exceptions"):
            attributes.append((_clean(name), _plain(value)))
    return attributes


def _list_names(error: BaseException) -> list[str]:
    try:
        return dir(error)
    except BaseException:  # noqa: BLE001 - foreign code
        return []


def _dump_chain(error: BaseException, include_traceback: bool, seen: set[int]) -> list[tuple[str, Any]]:
    chain: list[tuple[str, Any]] = []
    notes = getattr(error, _NOTES, None)
    if isinstance(notes, (list, tuple)):
        chain.append((_NOTES, tuple(_clean(note) for note in notes if isinstance(note, str))))
    for name, linked in ((_CAUSE, error.__cause__), (_CONTEXT, error.__context__)):
        if linked is not None and id(linked) not in seen and len(seen) < _MAX_DEPTH:
            chain.append((name, _dump(linked, include_traceback, seen)))
    if error.__suppress_context__:
        chain.append((_SUPPRESS, True))
    return chain


def _plain(value: Any) -> Any:
    """The value where brine can really encode it, else its ``repr``, else its type's name."""
    try:
        brine.dump(value)
    except BaseException:  # noqa: BLE001, S110 - brine fails in many ways
        pass
    else:
        return value
    try:
        return _clean(repr(value))
    except BaseException:  # noqa: BLE001 - foreign code
        return f"<{type(value).__name__} that has no repr>"


def _clean(text: str) -> str:
    """Text that UTF-8 can encode, of bearable length."""
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")


def _format(error: BaseException, trace: TracebackType | None) -> str:
    try:
        return _clean("".join(traceback.format_exception(type(error), error, trace)))
    except BaseException as failure:  # noqa: BLE001 - formatting runs the exception's own code
        return f"<the traceback cannot be formatted: {type(failure).__name__}>"


def _load(dumped: Any, config: Mapping[str, Any], depth: int) -> BaseException:
    if dumped == consts.EXC_STOP_ITERATION:
        return _with_remote_type(StopIteration(), "builtins.StopIteration")
    (module, name), args, attributes, text = dumped
    if not (isinstance(module, str) and isinstance(name, str) and isinstance(args, tuple)):
        raise TypeError("an exception's name and arguments have the wrong types")
    extras = {key: value for key, value in attributes if key in _CHAIN}
    plain = tuple((key, value) for key, value in attributes if isinstance(key, str) and not _is_reserved(key))
    if module.startswith(_GROUP_MODULE):
        module = module[len(_GROUP_MODULE) :]
        error = _load_group(module, name, args, extras.get(_MEMBERS, ()), str(text), config, depth)
    else:
        error = _load_plain(module, name, args, plain, str(text), config)
    _restore_chain(error, extras, config, depth)
    return _with_remote_type(error, f"{module}.{name}")


def _is_reserved(key: str) -> bool:
    return key in _CHAIN or key in ("args", "_remote_tb") or (key.startswith("__") and key.endswith("__"))


def _load_plain(
    module: str, name: str, args: tuple[Any, ...], attributes: Any, text: str, config: Mapping[str, Any]
) -> BaseException:
    try:
        loaded = _revive((module, name), args, attributes, text, config)
    except Exception:  # noqa: BLE001 - the local class cannot be made from these parts; its name still says most
        loaded = _revive((f"remote {module}", name), args, (), text, config)
    if not isinstance(loaded, BaseException):
        raise TypeError(f"{module}.{name} is no exception")
    return loaded


def _revive(kind: tuple[str, str], args: tuple[Any, ...], attributes: Any, text: str, config: Mapping[str, Any]) -> Any:
    loaded = vinegar.load(
        (kind, args, attributes, text),
        import_custom_exceptions=config["import_custom_exceptions"],
        instantiate_custom_exceptions=config["instantiate_custom_exceptions"],
        instantiate_oldstyle_exceptions=False,
    )
    own = type(loaded)  # of vinegar's making, which names it but for what tracebacks show
    if own.__qualname__ != own.__mro__[1].__qualname__:
        own.__qualname__ = own.__mro__[1].__qualname__
    return loaded


def _load_group(
    module: str, name: str, args: tuple[Any, ...], members: Any, text: str, config: Mapping[str, Any], depth: int
) -> BaseException:
    kind = getattr(builtins, name, None) if module == "builtins" else _Group
    if _Group is None or depth <= 0 or not (isinstance(kind, type) and issubclass(kind, _Group)):
        return _load_plain(f"remote {module}", name, args, (), text, config)
    loaded = [_load(member, config, depth - 1) for member in members]
    message = args[0] if args and isinstance(args[0], str) else ""
    group = kind(message, loaded)
    group._remote_tb = text  # type: ignore[attr-defined]
    return group


def _restore_chain(error: BaseException, extras: dict[str, Any], config: Mapping[str, Any], depth: int) -> None:
    notes = extras.get(_NOTES, ())
    if notes:
        error.__notes__ = [str(note) for note in notes]  # type: ignore[attr-defined, unused-ignore]
    if depth > 0 and _CAUSE in extras:
        error.__cause__ = _load(extras[_CAUSE], config, depth - 1)
    if depth > 0 and _CONTEXT in extras:
        error.__context__ = _load(extras[_CONTEXT], config, depth - 1)
    error.__suppress_context__ = bool(extras.get(_SUPPRESS, False))


def _with_remote_type(error: BaseException, remote_type: str) -> BaseException:
    error.remote_type = remote_type  # type: ignore[attr-defined]
    return error
