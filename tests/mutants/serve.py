"""Mutants of the servers for programs in any language and for agents."""

from __future__ import annotations

from tests.mutants import Mutant

_STDIO = "end_to_end/test_stdio.py"
_MCP = "end_to_end/test_mcp.py"

MUTANTS = (
    Mutant(
        promise="a header that lies takes no other message with it",
        file="faces/stdio/framing.py",
        before="self._data[:0] = body[at:]",
        after="pass",
        tests=("faces/stdio/test_framing.py::test_behind_what_cannot_be_read_the_next_message_is_read",),
    ),
    Mutant(
        promise="a message that is too long is dropped, however long it is",
        file="faces/stdio/framing.py",
        before="self._dropped_bytes -= count",
        after="self._dropped_bytes = 0",
        tests=(
            "faces/stdio/test_framing.py::test_a_message_that_is_too_long_is_refused_before_it_is_there_and_dropped",
        ),
    ),
    Mutant(
        promise="a client that does not read costs the server little memory",
        file="faces/stdio/transport.py",
        before="await self._has_room.wait()",
        after="pass",
        tests=("faces/stdio/test_transport.py::test_whoever_writes_waits_for_who_does_not_read_and_nothing_is_lost",),
    ),
    Mutant(
        promise="events are asked for no faster than a client reads them",
        file="faces/stdio/event_telling.py",
        before="if self._peer.has_room:",
        after="if True:",
        tests=(f"{_STDIO}::test_a_client_that_does_not_read_loses_nothing_and_the_server_holds_little",),
    ),
    Mutant(
        promise="who cancels a request has its code ended",
        file="faces/stdio/served_kernel.py",
        before="if not self.is_leaving:",
        after="if False:",
        tests=(f"{_STDIO}::test_cancelling_takes_code_out_of_the_queue_or_interrupts_it",),
    ),
    Mutant(
        promise="who leaves ends no code",
        file="faces/stdio/server.py",
        before="kernel.is_leaving = True",
        after="kernel.is_leaving = False",
        tests=(f"{_STDIO}::test_who_leaves_ends_no_code_that_was_waited_for",),
    ),
    Mutant(
        promise="a prompt that somebody else has answered is withdrawn",
        file="faces/stdio/served_kernel.py",
        before="self._prompts[event.execution].cancel()",
        after="pass",
        tests=(f"{_STDIO}::test_a_prompt_is_asked_and_answered_or_withdrawn_when_somebody_else_answers",),
    ),
    Mutant(
        promise="a lost connection comes back and is told of though nothing is asked",
        file="faces/stdio/served_kernel.py",
        before="self._coming_back = asyncio.ensure_future(self._come_back())",
        after="pass",
        tests=(f"{_STDIO}::test_who_only_asks_is_told_that_the_connection_is_lost_and_there_again_or_gone",),
    ),
    Mutant(
        promise="what must not be asked twice waits for the next connection",
        file="faces/stdio/questions.py",
        before="elif question.command.is_repeatable or self._client.is_connected:",
        after="elif True:",
        tests=(f"{_STDIO}::test_a_hub_that_is_killed_comes_back_and_events_go_on",),
    ),
    Mutant(
        promise="ten thousand questions at once are all answered",
        file="faces/stdio/questions.py",
        before="if self._asked >= _MAX_ASKED:",
        after="if False:",
        tests=(f"{_STDIO}::test_ten_thousand_requests_at_once_are_all_answered",),
    ),
    Mutant(
        promise="nobody is served on a port without the key",
        file="faces/stdio/server.py",
        before='if not self._is_admitted and name != "initialize":',
        after="if False:",
        tests=(f"{_STDIO}::test_a_port_lets_in_only_who_knows_the_key",),
    ),
    Mutant(
        promise="an agent gets no more text than its budget",
        file="faces/mcp/agent.py",
        before="self._left_chars -= len(text)",
        after="pass",
        tests=(f"{_MCP}::test_output_is_limited_by_the_call_and_by_the_budget",),
    ),
    Mutant(
        promise="who subscribes to an agent's transcript is told again once it has been read",
        file="faces/mcp/server.py",
        before="            note_read(cursor)\n",
        after="",
        tests=(f"{_MCP}::test_who_subscribes_is_told_that_the_transcript_has_grown_once_after_each_reading",),
    ),
    Mutant(
        promise="who cancels a call of an agent has its code ended",
        file="faces/mcp/agent.py",
        before="await self._end(kernel, number)\n            raise",
        after="pass\n            raise",
        tests=(f"{_MCP}::test_progress_is_told_with_what_is_printed_and_who_cancels_a_call_ends_its_code",),
    ),
    Mutant(
        promise="agents are served over HTTP only with the token",
        file="faces/mcp/serving.py",
        before="if not hmac.compare_digest(given, wanted):",
        after="if False:",
        tests=(f"{_MCP}::test_over_http_only_who_has_the_token_is_served_and_no_page_of_a_browser",),
    ),
)
