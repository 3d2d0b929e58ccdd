"""What a front end of one's own is built on: the same that the console, the window and the full screen stand on.

A `Transcript` turns events into changes of what is shown; it is pure, and fits any loop. A `Conversation` does all
that a person at a prompt expects, in an asyncio loop, for a `View` that shows changes and reads what is typed.
"""

from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.faces.frontend.following import follow
from rpyc_kernel.faces.frontend.jobs import Job, Jobs
from rpyc_kernel.faces.frontend.line_view import LineView
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.plots import Picture, Plots, read_picture
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.state import CtrlC, TalkState
from rpyc_kernel.faces.frontend.status_line import StatusLine
from rpyc_kernel.faces.frontend.transcript import (
    Added,
    Change,
    Cleared,
    Ended,
    Extended,
    Forgotten,
    Item,
    Shown,
    Transcript,
    Updated,
    to_draw,
)
from rpyc_kernel.faces.frontend.view import Interrupted, View, Withdrawn

__all__ = [
    "Added",
    "Change",
    "Cleared",
    "Conversation",
    "CtrlC",
    "Ended",
    "Extended",
    "Forgotten",
    "Interrupted",
    "Item",
    "Job",
    "Jobs",
    "LineView",
    "Picture",
    "Plots",
    "Renderer",
    "Shown",
    "StatusLine",
    "TalkState",
    "Tone",
    "Transcript",
    "Updated",
    "View",
    "Withdrawn",
    "follow",
    "read_picture",
    "sanitize",
    "sanitize_line",
    "to_draw",
]
