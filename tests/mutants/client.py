"""Broken promises of the client's library."""

from tests.mutants import Mutant

_WAY = "client/test_hub_connection.py::"
_DOOR = "client/test_ssh.py::test_it_is_asked_whether_a_login_has_ended_only_when_what_goes_by_it_has"
_NAMED = ("client/test_hostile_hub.py::test_no_class_that_a_hub_names_is_imported_or_made",)

MUTANTS = (
    Mutant(
        promise="a way that is in use is not asked whether it lives",
        file="client/ssh.py",
        before="return is_open and self._login.number == self._found_by",
        after="return False",
        tests=(f"{_DOOR}[killed]", f"{_DOOR}[stopped]"),
    ),
    Mutant(
        promise="a way that has ended is asked for before it is gone again",
        file="client/ssh.py",
        before="return is_open and self._login.number == self._found_by",
        after="return True",
        tests=(f"{_DOOR}[stopped]",),
    ),
    Mutant(
        promise="what a user forwards at logins is forwarded by none of ours",
        file="client/ssh_login.py",
        before='_ALONE = ("-F", os.devnull, "-o", "ProxyCommand=false")',
        after='_ALONE = ("-o", "ProxyCommand=false")',
        tests=("end_to_end/test_ssh.py::test_what_a_user_runs_and_forwards_at_logins_is_left_alone",),
    ),
    Mutant(
        promise="a hub that was lost meanwhile vouches for no connection from before",
        file="client/live_objects.py",
        before='raise ConnectionLost("the hub was lost meanwhile")',
        after="pass",
        tests=(
            "end_to_end/test_coming_back.py::"
            "test_live_objects_and_transfers_of_a_way_that_fell_silent_are_made_anew_as_the_rest_is",
        ),
    ),
    Mutant(
        promise="no transfer takes a connection from before the hub was lost",
        file="client/bulk.py",
        before=" and self._returns() == self._seen_returns",
        after="",
        tests=("client/test_bulk.py::test_a_connection_from_before_the_hub_was_lost_is_not_taken_again",),
    ),
    Mutant(
        promise="an invitation is shown without its secret",
        file="client/invitation.py",
        before='return f"Invitation({self.id!r}, {self.role!r}, {self.name!r})"',
        after='return f"Invitation({self.id!r}, {self.role!r}, {self.name!r}, {self.secret!r})"',
        tests=(
            "end_to_end/test_attacks.py::"
            "test_after_a_session_with_an_invitation_no_secret_stands_where_somebody_could_find_it",
        ),
    ),
    Mutant(
        promise="what is said of a damaged connect string tells nothing of its secret",
        file="client/connect_string.py",
        before='return "/".join(where.split("/")[:3])',
        after="return where",
        tests=("client/test_connect_string.py::test_what_cannot_be_understood_is_refused_without_its_secret",),
    ),
    Mutant(
        promise="a client imports nothing that a hub names",
        file="wire/values/client.py",
        before='        return RemoteError(f"{module}.{name}", *arguments)\n',
        after='        __import__(module)\n        return RemoteError(f"{module}.{name}", *arguments)\n',
        tests=_NAMED,
    ),
    Mutant(
        promise="a client makes no exceptions of classes that a hub names",
        file="wire/values/client.py",
        before='        return RemoteError(f"{module}.{name}", *arguments)\n',
        after="        return vars(__import__(module))[name](*arguments)\n",
        tests=_NAMED,
    ),
    Mutant(
        promise="a limit of time holds however often a signal comes",
        file="wire/values/client.py",
        before="        elif not self._arriving.poll(wait_s * 1000):",
        after="        elif False:",
        tests=("wire/values/test_client.py::test_a_silent_peer_is_found_however_often_a_signal_comes",),
    ),
    Mutant(
        promise="Ctrl-C loses no bytes that have come",
        file="wire/values/client.py",
        before="self._chunks.extend(map(self._sock.recv, (size,), (_DONT_WAIT,)))",
        after="self._chunks.append(self._sock.recv(size, _DONT_WAIT))",
        tests=("wire/values/test_client.py::test_ctrl_c_anywhere_in_a_call_leaves_the_stream_in_step",),
    ),
    Mutant(
        promise="who waits for an answer reads when whoever read has gone",
        file="wire/values/client.py",
        before="                    waiting.bell.put(None)\n                    break\n",
        after="                    break\n",
        tests=("wire/values/test_client.py::test_who_waits_inherits_the_baton",),
    ),
    Mutant(
        promise="a hub that gives no sign of life is given up",
        file="wire/values/client.py",
        before="        self._silent_s += waited_s\n",
        after="",
        tests=("wire/values/test_client.py::test_a_loop_tells_how_long_it_has_waited",),
    ),
    Mutant(
        promise="a client of live objects imports nothing that a kernel names",
        file="wire/netrefs/configuration.py",
        before='"import_custom_exceptions": False',
        after='"import_custom_exceptions": True',
        tests=(
            "wire/netrefs/test_connection_security.py::test_exceptions_of_the_server_make_no_classes_and_import_nothing",
        ),
    ),
    Mutant(
        promise="a client of live objects makes no exceptions of classes that a kernel names",
        file="wire/netrefs/configuration.py",
        before='"instantiate_custom_exceptions": False',
        after='"instantiate_custom_exceptions": True',
        tests=(
            "wire/netrefs/test_connection_security.py::test_exceptions_of_the_server_make_no_classes_and_import_nothing",
        ),
    ),
    Mutant(
        promise="a kernel that runs is not forgotten",
        file="client/archive.py",
        before="    folder.lock()\n",
        after="",
        tests=("client/test_archive.py::test_a_kernel_that_runs_is_not_among_the_stopped_and_is_not_forgotten",),
    ),
    Mutant(
        promise="a kernel whose worker lives is not forgotten",
        file="client/archive.py",
        before="        if place.has_worker:\n            raise",
        after="        if False:\n            raise",
        tests=("client/test_archive.py::test_a_kernel_whose_worker_lives_is_not_forgotten",),
    ),
    Mutant(
        promise="a kernel that runs is not among the stopped",
        file="client/archive.py",
        before="(place := find(name)).has_hub or place.has_worker",
        after="not find(name)",
        tests=("client/test_archive.py::test_a_kernel_that_runs_is_not_among_the_stopped_and_is_not_forgotten",),
    ),
    Mutant(
        promise="a folder with anything else is not removed",
        file="client/archive.py",
        before="    folder.create()  # or refuse what is not a kernel's\n",
        after="",
        tests=("client/test_archive.py::test_forgetting_refuses_a_folder_with_anything_else",),
    ),
    Mutant(
        promise="a broken row of a journal takes no other away",
        file="system/journal_file.py",
        before="if loaded is None or not has_texts(kind, loaded):",
        after="if loaded is None:",
        tests=("client/test_archive.py::test_a_row_that_is_broken_takes_no_other_away",),
    ),
    Mutant(
        promise="the history of a stopped kernel tells of inputs only",
        file="system/journal_file.py",
        before='event.execution is not None and event.payload.get("is_input", True)',
        after="event.execution is not None",
        tests=("client/test_archive.py::test_its_history_tells_of_inputs_and_of_nothing_else_that_ran",),
    ),
    Mutant(
        promise="a hub cannot have its queue be read for ever",
        file="client/answers.py",
        before='if _require(int, item["execution"]) <= after:',
        after='if _require(int, item["execution"]) <= 0:',
        tests=("client/test_answers.py::test_a_page_of_the_queue_that_could_go_on_for_ever_is_refused",),
    ),
    Mutant(
        promise="Ctrl-C has nothing taken in twice of what an execution prints",
        file="client/execution_record.py",
        before="if self._events and self._events[-1].seq == event.seq:",
        after="if False:",
        tests=("client/test_execution.py::test_ctrl_c_anywhere_in_what_is_taken_in_loses_and_repeats_nothing",),
    ),
    Mutant(
        promise="Ctrl-C leaves no future of an execution that nobody completes",
        file="system/futures.py",
        before="            self._begin_telling()  # first",
        after="            self._condition = GuardedCondition(); self._begin_telling()  # first",
        tests=("client/test_notifier.py::test_ctrl_c_while_it_is_asked_for_leaves_nobody_waiting_for_ever",),
    ),
    Mutant(
        promise="an execution that nobody holds is let go with all it has printed",
        file="client/notifier.py",
        before="held = weakref.ref(execution)",
        after="held: Any = lambda: execution",
        tests=("client/test_notifier.py::test_an_execution_that_nobody_holds_is_let_go_and_no_longer_read_for",),
    ),
    Mutant(
        promise="what must not be done twice is not asked twice",
        file="client/hub_connection.py",
        before="                if not command.is_repeatable:\n",
        after="                if False:\n",
        tests=(f"{_WAY}test_what_must_not_be_asked_twice_says_that_it_may_have_been_done",),
    ),
    Mutant(
        promise="what nobody waits for any more is not asked again",
        file="client/hub_connection.py",
        before="        self.is_kept = False\n",
        after="",
        tests=(f"{_WAY}test_what_is_to_be_asked_no_more_fails_when_its_connection_is_lost",),
    ),
    Mutant(
        promise="a kernel that has stopped is not waited for",
        file="client/hub_connection.py",
        before=" and not lost.was_dismissed",
        after="",
        tests=(f"{_WAY}test_a_hub_that_says_goodbye_is_not_looked_for",),
    ),
    Mutant(
        promise="a fork of a client's process makes no connection",
        file="client/hub_connection.py",
        before="if os.getpid() != self._pid:\n            raise",
        after="if False:\n            raise",
        tests=(f"{_WAY}test_a_fork_of_the_process_makes_no_connection",),
    ),
    Mutant(
        promise="a connection that never holds is not made for ever",
        file="client/hub_connection.py",
        before="if self._has_answered:",
        after="if True:",
        tests=(f"{_WAY}test_a_connection_that_never_holds_is_not_made_for_ever",),
    ),
    Mutant(
        promise="a wrong key ends the attempts to come back",
        file="client/returning.py",
        before="        except HOPELESS:\n            raise\n",
        after="",
        tests=("client/test_returning.py::test_what_no_attempt_can_change_ends_it_at_once",),
    ),
    Mutant(
        promise="an error of a lazy chain names the link that failed",
        file="client/chains.py",
        before="failed=order[place]",
        after="failed=order[-1]",
        tests=("client/test_lazy.py::test_an_error_names_the_link_that_failed[.x of text.x.y]",),
    ),
    Mutant(
        promise="containers among the arguments of a lazy chain are copied",
        file="client/lazy.py",
        before="if kind is not tuple and kind not in CONTAINERS:",
        after="if kind is not tuple:",
        tests=(
            "client/test_lazy.py::test_what_is_recorded_does_not_change_with_what_was_passed",
            "end_to_end/test_lazy.py::test_containers_are_copied_and_nobody_asks_back_for_their_items",
        ),
    ),
)
