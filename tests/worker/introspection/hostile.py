"""Objects that must not be asked anything."""

import functools


class Touched(BaseException):
    """Something ran that must not run; no `except Exception` hides it."""


def touch(*_, **__):
    raise Touched


class Trap:
    """An object that must not be asked anything but what the interpreter itself knows of it."""

    a_property = property(touch)
    cached = functools.cached_property(touch)
    attribute = 1

    def method(self):
        """What it does."""

    __repr__ = __str__ = __eq__ = __lt__ = __len__ = __bool__ = __hash__ = __call__ = __iter__ = touch


class Descriptor:
    def __get__(self, owner, kind):
        raise Touched


class Netref:
    """Stands for RPyC's proxy: any attribute of it would be a call to a client."""

    __slots__ = ()
    __getattribute__ = touch
    __repr__ = __len__ = __bool__ = __eq__ = __hash__ = __dir__ = __call__ = touch


def make_netref():
    base = type("BaseNetref", (), {"__module__": "rpyc.core.netref", "__slots__": ()})
    return type("builtins.list", (base,), {**vars(Netref), "__slots__": ()})()
