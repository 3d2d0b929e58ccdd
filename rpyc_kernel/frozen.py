"""Values that nobody changes once they are made: settings, facts, what is to be done, what clients get.

They are what `dataclasses.dataclass(frozen=True)` makes, and type checkers take them for that. But every start pays for
each such class of every module that it loads: by that decorator 0.7 ms, and 8 ms for what it imports; by this 0.06 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        """For type checkers only."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Frozen:
    """A class derived from this has the fields that it annotates; one that has a value there has it as its default.

    After it was made, ``__post_init__`` is called where there is one.

    Args:
        eq: whether those with equal fields are equal; else each is equal to itself alone.
    """

    __match_args__: Any = ()

    def __init_subclass__(cls, *, eq: bool = True) -> None:
        super().__init_subclass__()
        names = tuple(cls.__annotations__)
        setattr(cls, "__match_args__", names)  # noqa: B010 - as type checkers have made one themselves
        parameters = [f"{name}=cls.{name}" if hasattr(cls, name) else name for name in names]
        body = ["fields = self.__dict__", *(f"fields[{name!r}] = {name}" for name in names)]
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        made: dict[str, Any] = {"cls": cls}
        exec(f"def __init__({', '.join(['self', *parameters])}): {'; '.join(body)}", made)  # noqa: S102
        cls.__init__ = made["__init__"]  # type: ignore[method-assign]
        if not eq:
            cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"no {type(self).__name__} changes once it is made, nor does its {name}")

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"

    def __eq__(self, other: object) -> bool:
        return fields_of(self) == fields_of(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(fields_of(self).values()))


_Value = TypeVar("_Value", bound=Frozen)


def changed(value: _Value, **changes: Any) -> _Value:
    """The same with other values in some of its fields."""
    return type(value)(**{**fields_of(value), **changes})


def fields_of(value: Frozen) -> dict[str, Any]:
    """The fields of one by name."""
    return {name: getattr(value, name) for name in value.__match_args__}
