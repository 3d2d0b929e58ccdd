"""What the keys of the console do beside what every editor's do."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from rpyc_kernel.faces.console.source import indent_after

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

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        document = buffer.document
        # What comes faster than it is read is pasted, and has its own indentation.
        is_pasted = bool(event.key_processor.input_queue)
        if "\n" in buffer.text and document.text_after_cursor.strip():
            indent: str | None = indent_after(document.current_line_before_cursor)
        elif is_pasted and document.line_count > _MAX_ASKED_LINES:
            indent = ""  # to ask about each of thousands of lines would take minutes
        else:
            indent = find_indent(buffer.text)
        if indent is None:
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n" + ("" if is_pasted else indent))

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state:
            buffer.complete_next()
        elif buffer.document.current_line_before_cursor.strip():
            buffer.start_completion(insert_common_part=True)
        else:
            buffer.insert_text(_INDENT)

    return keys
