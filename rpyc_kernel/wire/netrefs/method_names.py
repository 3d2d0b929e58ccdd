"""What a peer learns of an object's methods: their names.

Stock RPyC sends every docstring along, 42 KB for one numpy array. A proxy's ``__doc__`` is fetched when asked for.
"""

from __future__ import annotations

from types import BuiltinFunctionType, MethodWrapperType
from typing import Any, Final

from rpyc.core.netref import LOCAL_ATTRS

LASTING: Final = ("__methods__", "lasting")
"""Among an object's methods: all objects that share the two first parts of its identity have these methods, for ever.

Stock peers pass over it, because no proxy has a method of that name.
"""

_PLAIN_ROUTINES: Final = frozenset({BuiltinFunctionType, MethodWrapperType})


def list_methods(obj: Any) -> tuple[tuple[str, str | None], ...]:
    """The names of all methods a proxy of ``obj`` has to have, each with None where a docstring could be.

    Looks at types only, never at instances, so it runs no code of the objects it describes.
    """
    own = _list(type(obj).__mro__)
    if not issubclass(type(obj), type):
        return (LASTING, *own)
    # A class has its metaclass's methods, too. What Python itself asks of a class, as for its truth, it asks of the
    # metaclass alone: the class's own special methods are for its instances.
    of_class = [(name, None) for name, _ in _list(obj.__mro__) if not (name.startswith("__") and name.endswith("__"))]
    return (LASTING, *dict.fromkeys((*of_class, *own)))


def list_methods_of(kind: type) -> tuple[tuple[str, None], ...]:
    """The same for the instances of a class."""
    return _list(kind.__mro__)


def _list(lineage: tuple[type, ...]) -> tuple[tuple[str, None], ...]:
    attributes: dict[str, Any] = {}
    for kind in reversed(lineage):
        attributes.update(kind.__dict__)
    names = [name for name, value in attributes.items() if name not in LOCAL_ATTRS and _is_routine(value)]
    return tuple([(name, None) for name in names])


def _is_routine(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN_ROUTINES:
        return True
    return not issubclass(kind, type) and hasattr(kind, "__get__") and not hasattr(kind, "__set__")
