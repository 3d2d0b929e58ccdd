"""What the keys of the console do beside what every editor's do."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from rpyc_kernel.faces.frontend.source import indent_after

KEYS = """\
Enter runs the code, Alt-Enter only begins a new line, Tab completes, Ctrl-R searches what was run.
Ctrl-C stops waiting, and at an empty prompt offers to interrupt what runs. Ctrl-D leaves; the kernel stays.
Ctrl-Z stops this console until the shell's fg; the code goes on."""
"""What `%help` says of them."""
_INDENT = "    "
_MAX_ASKED_LINES = 100


def make_common_keys(suspend: Callable[[], object]) -> KeyBindings:
    """The keys of code and of answers.

    Args:
        suspend: stops the process until a shell has it go on.
    """
    keys = KeyBindings()

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        suspend()

    return keys


def make_code_keys(suspend: Callable[[], object], find_indent: Callable[[str], str | None]) -> KeyBindings:
    """The keys of code.

    Args:
        suspend: stops the process until a shell has it go on.
        find_indent: tells what the next line of incomplete code begins with; None if the code is complete.
    """
    keys = make_common_keys(suspend)
    in_code = has_focus(DEFAULT_BUFFER)  # not in the search field, whose keys are the editor's own

    @keys.add("enter", filter=in_code)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        document = buffer.document
        comes_fast = bool(event.key_processor.input_queue)
        if "\n" in buffer.text and document.text_after_cursor.strip():
            indent: str | None = indent_after(document.current_line_before_cursor)
        elif comes_fast and document.line_count > _MAX_ASKED_LINES:
            # To ask about each of thousands of lines would take minutes.
            indent = indent_after(document.current_line_before_cursor)
        else:
            indent = find_indent(buffer.text)
        if indent is None:
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + indent)

    @keys.add("escape", "enter", filter=in_code)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab", filter=in_code)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state:
            buffer.complete_next()
        elif buffer.document.current_line_before_cursor.strip():
            buffer.start_completion(insert_common_part=True)
        else:
            buffer.insert_text(_INDENT)

    return keys
