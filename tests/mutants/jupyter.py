"""Broken promises of Jupyter's face."""

from tests.mutants import Mutant

_CHANNELS = "faces/jupyter/test_channels.py::"
_BRIDGE = "faces/jupyter/test_bridge.py::"
_PUBLISHING = "faces/jupyter/test_publishing.py::"
_ENGINES = "end_to_end/test_ipyparallel_engines.py::"

MUTANTS = (
    Mutant(
        promise="a forged message runs nothing and has no reply",
        file="faces/jupyter/messages.py",
        before="if not hmac.compare_digest(signature, self._sign(parts)):",
        after="if not signature:",
        tests=(f"{_CHANNELS}test_a_forged_message_runs_nothing_and_has_no_reply",),
    ),
    Mutant(
        promise="a message that is sent again runs once",
        file="faces/jupyter/messages.py",
        before="if signature in self._seen:",
        after="if False:",
        tests=(f"{_CHANNELS}test_a_message_that_is_sent_again_runs_once",),
    ),
    Mutant(
        promise="all parts of a message are signed",
        file="faces/jupyter/messages.py",
        before='b"".join(parts)',
        after='b"".join(parts[:3])',
        tests=("faces/jupyter/test_messages.py::test_what_is_written_jupyter_reads",),
    ),
    Mutant(
        promise="an answer goes to who asked",
        file="faces/jupyter/sockets.py",
        before="self.send(request.channel, kind, content, request.header, request.identity, metadata, buffers)",
        after="self.send(request.channel, kind, content, request.header, [b'client'], metadata, buffers)",
        tests=(f"{_CHANNELS}test_an_answer_goes_to_who_asked",),
    ),
    Mutant(
        promise="control is taken before shell",
        file="faces/jupyter/channels.py",
        before='for name in ("control", "shell", "stdin")',
        after='for name in ("shell", "control", "stdin")',
        tests=(f"{_CHANNELS}test_what_comes_by_control_is_taken_before_what_waits_on_shell",),
    ),
    Mutant(
        promise="heartbeats are answered",
        file="faces/jupyter/channels.py",
        before="self._heartbeat.send_multipart(self._heartbeat.recv_multipart())",
        after="self._heartbeat.recv_multipart()",
        tests=(f"{_CHANNELS}test_a_heartbeat_comes_back_as_it_went",),
    ),
    Mutant(
        promise="who subscribes is welcomed alone",
        file="faces/jupyter/channels.py",
        before="self._send(self._iopub, [only + kind.encode()],",
        after="self._send(self._iopub, [self._topic + kind.encode()],",
        tests=(f"{_CHANNELS}test_who_subscribes_is_welcomed_alone_and_then_hears_what_all_hear",),
    ),
    Mutant(
        promise="what is shown names the message that it belongs to",
        file="faces/jupyter/publishing.py",
        before="self._channels.publish(kind, content, cell.header)",
        after="self._channels.publish(kind, content, None)",
        tests=(f"{_PUBLISHING}test_a_cell_is_busy_then_its_reply_comes_then_it_is_idle",),
    ),
    Mutant(
        promise="a cell's code is shown before what it shows",
        file="faces/jupyter/publishing.py",
        before="        self._announce(execution)\n",
        after="",
        tests=(f"{_PUBLISHING}test_the_reply_waits_for_the_code_to_be_shown_only_where_the_cell_shows_something",),
    ),
    Mutant(
        promise="a silent cell shows no code",
        file="faces/jupyter/publishing.py",
        before="if not cell.is_silent and not cell.is_call:",
        after="if not cell.is_call:",
        tests=(f"{_PUBLISHING}test_a_silent_cell_shows_neither_its_code_nor_its_value",),
    ),
    Mutant(
        promise="expressions are not evaluated behind code that failed",
        file="faces/jupyter/publishing.py",
        before="if outcome == Outcome.OK and cell.fetch is not None:",
        after="if cell.fetch is not None:",
        tests=(f"{_PUBLISHING}test_expressions_are_answered_only_when_the_code_did_not_fail",),
    ),
    Mutant(
        promise="widgets of a worker that has ended are closed",
        file="faces/jupyter/publishing.py",
        before="self._comms.add(event.comm_id)",
        after="pass",
        tests=(f"{_PUBLISHING}test_widgets_of_a_worker_that_has_ended_are_closed",),
    ),
    Mutant(
        promise="what is open of a line is shown before what follows",
        file="faces/jupyter/publishing.py",
        before="self._lines.end(event.execution)",
        after="pass",
        tests=(f"{_PUBLISHING}test_a_line_that_is_written_in_pieces_is_one_message_and_stands_before_what_follows",),
    ),
    Mutant(
        promise="the kernel stays busy for others while a cell runs",
        file="faces/jupyter/publishing.py",
        before='if state == "idle" and running is not None:',
        after="if False:",
        tests=(f"{_PUBLISHING}test_a_request_is_busy_once_whatever_is_asked_meanwhile",),
    ),
    Mutant(
        promise="a cell is paired with its execution by number",
        file="faces/jupyter/pairing.py",
        before="return self._cells.known_header(number) is None and self._awaits_number(session)",
        after="return False",
        tests=(f"{_BRIDGE}test_a_reply_goes_to_whose_number_it_is_in_whatever_order_numbers_and_events_come",),
    ),
    Mutant(
        promise="what is no cell of ours is told as soon as that is known",
        file="faces/jupyter/pairing.py",
        before="if not self._may_be_ours(number, queued.session)]",
        after="if self._cells.known_header(number)]",
        tests=(f"{_BRIDGE}test_what_another_client_of_the_same_session_runs_is_no_reply_to_ours",),
    ),
    Mutant(
        promise="who joins a kernel that does not answer holds up nobody",
        file="faces/jupyter/client_sessions.py",
        before="_do_aside(self._have_it_join, client, _name_of(request))",
        after="self._have_it_join(client, _name_of(request))",
        tests=(f"{_BRIDGE}test_a_kernel_that_does_not_answer_holds_up_nobody_else",),
    ),
    Mutant(
        promise="an answer goes to the prompt that it names",
        file="faces/jupyter/prompts.py",
        before='if prompt.msg_id == reply.parent.get("msg_id")] or asked',
        after="if prompt.asked] or asked",
        tests=("faces/jupyter/test_prompts.py::test_an_answer_goes_to_the_prompt_that_it_names",),
    ),
    Mutant(
        promise="answers leave in the order of the questions",
        file="faces/jupyter/turns.py",
        before="while line and (next_say := line[0].say) is not None:",
        after="while line and (next_say := (line[0].say or say)) is not None:",
        tests=("faces/jupyter/test_turns.py::test_answers_leave_in_the_order_of_the_questions",),
    ),
    Mutant(
        promise="what a finished execution still prints keeps its parent",
        file="faces/jupyter/executions.py",
        before="self._headers.get(execution, self.last_header)",
        after="self.last_header",
        tests=("faces/jupyter/test_executions.py::test_what_a_finished_execution_still_prints_keeps_its_parent",),
    ),
    Mutant(
        promise="a kernel that dies is an error of its engine",
        file="faces/jupyter/engine/channels.py",
        before='content["ename"] = "EngineError"',
        after="pass",
        tests=(f"{_ENGINES}test_a_killed_kernel_is_an_error_of_its_engine_and_the_next_generation_goes_on",),
    ),
    Mutant(
        promise="an engine says that its controller is gone",
        file="faces/jupyter/engine/channels.py",
        before="return self.waited_s - self._heard_s > self.silence_s",
        after="return False",
        tests=(f"{_ENGINES}test_when_the_controller_is_gone_the_engine_says_so_and_its_kernel_goes_on",),
    ),
    Mutant(
        promise="what an ipyparallel client takes back does not run",
        file="faces/jupyter/engine/bridge.py",
        before="self._answering.by_control(lambda kernel, _: _cancel(kernel, numbers))(request)",
        after="self._answering.by_control(lambda kernel, _: _cancel(kernel, []))(request)",
        tests=(f"{_ENGINES}test_what_waits_is_taken_back_and_what_runs_is_interrupted",),
    ),
)
