"""What comes back from commands: the classes of `core.introspection` by name, and shapes that have no class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rpyc_kernel.frozen import Frozen

if TYPE_CHECKING:  # a hub starts without the classes, which only workers and clients make
    from rpyc_kernel.core.contract import Event
    from rpyc_kernel.core.introspection import (
        Cells,
        CodeState,
        Completions,
        Definition,
        Inspection,
        Package,
        Page,
        Python,
        References,
        Signature,
        Variable,
        Watched,
    )

_T_co = TypeVar("_T_co", covariant=True)


class Answer(Frozen, Generic[_T_co], eq=False):
    """What comes back, and what a client makes of it.

    Attributes:
        name: of a class of `core.introspection`, or what the shape is called.
        doc: what it looks like on the wire, where it is no such class.
        is_list: whether there are several.
        may_be_none: whether there may be none.
    """

    name: str
    doc: str = ""
    is_list: bool = False
    may_be_none: bool = False

    def __str__(self) -> str:
        name = f"list of {self.name}" if self.is_list else self.name
        return f"{name} or None" if self.may_be_none else name


NOTHING: Final[Answer[None]] = Answer("nothing", "None")
NUMBER: Final[Answer[int]] = Answer("number", "a whole number")
NUMBER_OR_NONE: Final[Answer[int | None]] = Answer("number", may_be_none=True)
TEXT: Final[Answer[str]] = Answer("text", "text")
TEXTS: Final[Answer[list[str]]] = Answer("text", is_list=True)
TEXTS_BY_NAME: Final[Answer[dict[str, str]]] = Answer("pair", "a name and a text", is_list=True)
HELLO: Final[Answer[dict[str, Any]]] = Answer(
    "Hello",
    "pairs of name and value: `session`, `role`, `came_first`, `cursor` (what the session acknowledged last, or None), "
    "`last` (the number of the newest event), `kernel`, `protocol`, `hub_pid`, `hub_python`, `generation`",
)
STATUS: Final[Answer[dict[str, Any]]] = Answer(
    "Status",
    "pairs of name and value: `state`, `generation`, `running`, `queue` (its first hundred), `queue_length`, `held` "
    "(how many of those wait for approval), `side`, `prompts`, `sessions`, `last`, `memory_bytes`, `journal` (what is "
    "wrong with it, or None) and more",
)
QUEUE: Final[Answer[list[dict[str, Any]]]] = Answer(
    "Queued", "pairs of name and value: `execution`, `session`, `name`, `code`, `is_held` and more", is_list=True
)
EVENTS: Final[Answer[tuple[int, list[Event]]]] = Answer(
    "Events",
    "the cursor to go on with, and one JSON array of events, each `[number, time, kind, execution, session, {fields}]`",
)
INPUTS: Final[Answer[list[tuple[int, int, float, str, str]]]] = Answer(
    "Input", "number of the event, execution, time, author and code", is_list=True
)
INVITED: Final[Answer[dict[str, Any]]] = Answer(
    "Invited",
    "pairs of name and value: those of an `Invitation`, the `secret` of its key in hexadecimal digits, and "
    "`listening`: of each port that the kernel listens on `host`, `port` and `security`, and of those with TLS the "
    "`fingerprint` of the certificate",
)
INVITATIONS: Final[Answer[list[dict[str, Any]]]] = Answer(
    "Invitation",
    "pairs of name and value: `id`, `role`, `name`, `values`, `created`, `expires` (None: never) and `revoked` (None: "
    "it is not), all three in seconds since the epoch",
    is_list=True,
)
LISTENING: Final[Answer[dict[str, Any]]] = Answer(
    "Listening", "pairs of name and value: `host`, `port`, `security`, and with TLS the certificate's `fingerprint`"
)
CERTIFIED: Final[Answer[dict[str, str]]] = Answer(
    "Certified", "pairs of name and text, all PEM: `certificate`, `private_key`, `server_certificate`"
)
COMPLETIONS: Final[Answer[Completions]] = Answer("Completions")
SIGNATURES: Final[Answer[list[Signature]]] = Answer("Signature", is_list=True)
INSPECTION: Final[Answer[Inspection]] = Answer("Inspection")
DEFINITION: Final[Answer[Definition | None]] = Answer("Definition", may_be_none=True)
REFERENCES: Final[Answer[References]] = Answer("References")
CODE_STATE: Final[Answer[CodeState]] = Answer("CodeState")
VARIABLES: Final[Answer[list[Variable]]] = Answer("Variable", is_list=True)
WATCHED: Final[Answer[list[Watched]]] = Answer("Watched", is_list=True)
PAGE: Final[Answer[Page]] = Answer("Page")
CELLS: Final[Answer[Cells]] = Answer("Cells")
PYTHON: Final[Answer[Python]] = Answer("Python")
PACKAGES: Final[Answer[list[Package]]] = Answer("Package", is_list=True)
