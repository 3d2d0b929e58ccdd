"""Broken promises of the process that clients connect to."""

from tests.mutants import Mutant

_HUB = "hub/test_hub.py::"
_SERVER = "hub/test_server.py::"
_ROLES = "hub/test_exposed_methods.py::test_a_connection_may_what_its_role_and_key_allow_whatever_its_session_may"
_ASKER = "hub/test_exposed_methods.py::test_no_road_of_an_asker_runs_code_without_somebodys_yes"
_KEY = f"{_SERVER}test_neither_the_log_nor_a_refusal_tells_the_key"

MUTANTS = (
    Mutant(
        promise="a stock client that is gone is present no more, whatever its worker still does for it",
        file="hub/server.py",
        before="told, origin, far, ended=leave)",
        after="told, origin, far)",
        tests=("end_to_end/test_stock_objects.py::test_who_is_gone_is_present_no_more_though_its_request_goes_on",),
    ),
    Mutant(
        promise="what others can reach has TLS unless somebody says otherwise",
        file="hub/listening.py",
        before="return Security.INSECURE if is_insecure else Security.TLS",
        after="return Security.INSECURE",
        tests=("hub/test_listening.py::test_what_others_can_reach_has_tls_unless_somebody_says_otherwise",),
    ),
    Mutant(
        promise="an authority of somebody else's invites nobody",
        file="hub/listening.py",
        before='certificate = changed(certificate, invitation="")',
        after="pass",
        tests=("hub/test_listening.py::test_an_authority_of_somebody_elses_invites_nobody",),
    ),
    Mutant(
        promise="a stock client that is invited to look gets no live objects",
        file="hub/server.py",
        before="if Role.allows(welcome.identity.role, handshake.CHANNEL_ROLES[handshake.OBJECTS]):",
        after="if True:",
        tests=("end_to_end/test_stock_over_tls.py::test_a_viewer_sees_what_happens_and_reaches_nothing_of_the_worker",),
    ),
    Mutant(
        promise="stock clients with live objects leave the hub the descriptors that it needs",
        file="hub/server.py",
        before="self._places.note_more(sock, 1)",
        after="pass",
        tests=("hub/test_server.py::test_a_stock_client_with_live_objects_counts_for_the_descriptors_that_it_takes",),
    ),
    Mutant(
        promise="a kernel keeps its idle time when its hub is lost",
        file="hub/lifetime.py",
        before="earlier.idle_timeout_s if earlier else 0.0",
        after="0.0",
        tests=(
            "end_to_end/test_foreground.py"
            "::test_a_kernel_that_nobody_uses_ends_also_with_another_hub_than_it_was_started_with",
        ),
    ),
    Mutant(
        promise="code that runs keeps a kernel that nobody is in",
        file="core/kernel_state.py",
        before="if self.sessions.are_present or self._unfinished:",
        after="if self.sessions.are_present:",
        tests=(
            "core/test_kernel_state.py"
            "::test_a_kernel_whose_idle_time_is_over_ends_if_still_nobody_is_there_and_nothing_runs",
        ),
    ),
    Mutant(
        promise="who collects orphans leaves the end of a child to who waits for it",
        file="system/processes.py",
        before="if ended is None or ended.si_pid in _CHILDREN:",
        after="if ended is None:",
        tests=("system/test_processes.py::test_who_collects_orphans_leaves_the_end_of_a_child_to_who_waits_for_it",),
    ),
    Mutant(
        promise="the next hub knows how far the ring was read",
        file="hub/hub.py",
        before="self._journal.append(records, progress.generation, progress.position)",
        after="self._journal.append(records)",
        tests=(f"{_HUB}test_what_was_read_from_the_ring_is_committed_with_its_position_before_it_is_released",),
    ),
    Mutant(
        promise="the ring is released behind the commit",
        file="hub/hub.py",
        before="        if progress is None:\n            self._journal.append(records)",
        after="        if progress:\n            progress.ring.release(progress.position)\n"
        "        if progress is None:\n            self._journal.append(records)",
        tests=(f"{_HUB}test_what_was_read_from_the_ring_is_committed_with_its_position_before_it_is_released",),
    ),
    Mutant(
        promise="code is handed over behind the commit of its start",
        file="hub/hub.py",
        before="        if progress is None:",
        after="        [self._act(item) for item in to_do if isinstance(item, actions.RunCode)]\n"
        "        if progress is None:",
        tests=(f"{_HUB}test_code_is_handed_over_when_it_is_committed_that_it_has_started",),
    ),
    Mutant(
        promise="what a client was told of outlives its hub",
        file="hub/hub.py",
        before="        if progress is None:\n            self._journal.append(records)",
        after="        records = self.__dict__.pop('_late', []) + records\n"
        "        if any(isinstance(item, actions.RunCode) for item in to_do):\n            self._late = records\n"
        "        elif progress is None:\n            self._journal.append(records)",
        tests=(
            "end_to_end/test_road_faults.py::test_every_promise_is_kept_whoever_is_killed_at[handed to the worker-0]",
        ),
    ),
    Mutant(
        promise="no failure of power damages a journal",
        file="hub/journal/store.py",
        before="PRAGMA synchronous=NORMAL",
        after="PRAGMA synchronous=OFF",
        tests=("hub/journal/test_journal.py::test_no_failure_of_power_can_damage_what_was_committed",),
    ),
    Mutant(
        promise="the log does not tell the key",
        file="hub/server.py",
        before='self._refusals.note(f"refused: {error}")',
        after='self._refusals.note(f"refused: {error}, who knows no {self._ring._own.secret.hex()}")',
        tests=(_KEY,),
    ),
    Mutant(
        promise="a refusal does not tell the key",
        file="wire/handshake.py",
        before='"message": str(problem)}',
        after='"message": f"{problem} {key.secret!r}"}',
        tests=(_KEY,),
    ),
    Mutant(
        promise="a name is one kernel whatever the environment",
        file="hub/place.py",
        before="            home.lock()\n        except KernelExists:",
        after="            pass\n        except KernelExists:",
        tests=("hub/test_place.py::test_a_second_hub_of_a_name_is_told_where_the_first_is_whatever_its_environment",),
    ),
    Mutant(
        promise="a private kernel does not share the name of one with a home",
        file="hub/place.py",
        before="if is_private and Home(folders.state / name).has_hub:",
        after="if False:",
        tests=("hub/test_place.py::test_a_private_kernel_does_not_take_the_name_of_one_with_a_home_elsewhere",),
    ),
    Mutant(
        promise="the worker of another home is left alone",
        file="hub/place.py",
        before="    _check_usual(name, home, usual)\n    found",
        after="    found",
        tests=("hub/test_place.py::test_the_worker_of_another_home_is_left_alone",),
    ),
    Mutant(
        promise="a worker that cannot be reached is not replaced in silence",
        file="hub/place.py",
        before="            raise WorkerBusy(",
        after="            return None\n            raise WorkerBusy(",
        tests=("hub/test_place.py::test_a_worker_that_lives_and_listens_nowhere_is_not_replaced_in_silence",),
    ),
    Mutant(
        promise="a worker is found where it went when its folder vanished",
        file="hub/place.py",
        before="places = (known, RuntimeFolder(known.refuge))",
        after="places = (known,)",
        tests=("hub/test_place.py::test_a_worker_that_went_elsewhere_when_its_folder_vanished_is_found",),
    ),
    Mutant(
        promise="strangers take no thread each",
        file="hub/places.py",
        before="return self._strangers[family] < self._max_strangers",
        after="return True",
        tests=(
            "hub/test_server.py::test_strangers_at_the_port_cost_neither_the_connected_nor_those_of_the_unix_socket_anything",
        ),
    ),
    Mutant(
        promise="clients are no more than may be",
        file="hub/places.py",
        before="if taken < (self._max_when_new if welcome.channel == handshake.COMMANDS else self._max_proven):",
        after="if True:",
        tests=("hub/test_server.py::test_more_clients_than_may_be_are_refused_with_the_reason",),
    ),
    Mutant(
        promise="what an owner may an editor may not",
        file="core/commands.py",
        before="return Role.allows(role, self.role) and",
        after="return Role.allows(role, Role.EDITOR if self.role != Role.VIEWER else self.role) and",
        tests=(_ROLES,),
    ),
    Mutant(
        promise="what was approved is so for the next hub, too",
        file="hub/journal/recovery.py",
        before="            Kind.APPROVED: self._take_approval,\n",
        after="",
        tests=("hub/journal/test_recovery.py::test_what_was_approved_is_known_until_it_has_ended",),
    ),
    Mutant(
        promise="what an asker executes is held",
        file="hub/service.py",
        before="call, source, is_input, token, is_held\n",
        after="call, source, is_input, token\n",
        tests=(_ASKER,),
    ),
    Mutant(
        promise="what an asker has run is held",
        file="hub/service.py",
        before="token=token, is_held=is_held)",
        after="token=token)",
        tests=(_ASKER,),
    ),
    Mutant(
        promise="an asker answers no prompt, as a debugger's runs what is typed",
        file="hub/service.py",
        before="if self._asks_first and text is not None:",
        after="if False:",
        tests=(_ASKER,),
    ),
    Mutant(
        promise="an asker ends no worker",
        file="hub/service.py",
        before="if self._asks_first and force == Force.TERMINATE:",
        after="if False:",
        tests=(_ASKER,),
    ),
    Mutant(
        promise="nobody approves by a key that asks first",
        file="core/commands.py",
        before='    shapes.NUMBER,\n    Role.EDITOR,\n    (_EXECUTION,),\n    cannot="approve anything",',
        after='    shapes.NUMBER,\n    Role.ASKER,\n    (_EXECUTION,),\n    cannot="approve anything",',
        tests=(_ROLES,),
    ),
    Mutant(
        promise="a viewer changes nothing",
        file="hub/service.py",
        before="if name not in self.may_give:",
        after="if not self._role:",
        tests=(_ROLES,),
    ),
    Mutant(
        promise="a viewer sees values only where its key allows it",
        file="core/commands.py",
        before="sees_values = has_values or Role.allows(role, Role.EDITOR)",
        after="sees_values = True",
        tests=(_ROLES,),
    ),
    Mutant(
        promise="a viewer moves nobody's place",
        file="hub/service.py",
        before="self._hub.acknowledge(self._reads_as, self._within(cursor))",
        after="self._hub.acknowledge(self._session, self._within(cursor))",
        tests=("hub/test_exposed_methods.py::test_a_viewer_moves_nobodys_place_in_the_events",),
    ),
    Mutant(
        promise="what is revoked ends at once what was connected with it",
        file="hub/guests.py",
        before="        self._send_away(key_id)\n        self._record(",
        after="        self._record(",
        tests=(f"{_SERVER}test_a_revoked_invitation_ends_what_was_connected_with_it_and_lets_nobody_in",),
    ),
    Mutant(
        promise="an invitation that expires ends what was connected with it",
        file="hub/guests.py",
        before="for key_id in self._ring.ended() - self._sent_away:",
        after="for key_id in set():",
        tests=(f"{_SERVER}test_an_invitation_that_expires_ends_what_was_connected_with_it",),
    ),
    Mutant(
        promise="who is sent away while it comes in is not let in",
        file="hub/server.py",
        before="self._guests.problem_since)",
        after="lambda _: None)",
        tests=(f"{_SERVER}test_whom_somebody_sends_away_while_it_comes_in_is_not_let_in",),
    ),
    Mutant(
        promise="nobody goes on with a session of another key",
        file="wire/keys.py",
        before="return asked if not self.key or asked.startswith(mark) else mark + asked",
        after="return asked",
        tests=("wire/test_handshake.py::test_sessions_of_an_invitation_are_its_own_whatever_it_asks_for",),
    ),
    Mutant(
        promise="guesses at a key become slow",
        file="hub/server.py",
        before="self._attempts.note_failure(origin)",
        after="pass",
        tests=(f"{_SERVER}test_an_address_that_fails_to_prove_itself_is_cut_for_a_while_and_nobody_else_is",),
    ),
    Mutant(
        promise="a flood of refusals does not fill the journal",
        file="hub/sparing.py",
        before="now < self._silent_until",
        after="False",
        tests=(f"{_SERVER}test_refusals_become_events_together_and_tell_no_secret",),
    ),
    Mutant(
        promise="no event tells the secret of an invitation",
        file="hub/guests.py",
        before='{"invitation": given.id, **told, "by": by}',
        after='{"invitation": given.id, **told, "by": by, "secret": key.secret.hex()}',
        tests=(
            "end_to_end/test_roles.py::"
            "test_live_objects_of_a_revoked_or_kicked_client_end_with_it_and_an_invitation_outlives_hub_and_kernel",
        ),
    ),
    Mutant(
        promise="an invitation holds no longer than it says",
        file="hub/key_ring.py",
        before="self.expires <= now",
        after="self.expires <= now - 86400",
        tests=("hub/test_key_ring.py::test_an_invitation_holds_until_it_expires_by_the_hubs_clock",),
    ),
    Mutant(
        promise="live objects end with whom they were handed to",
        file="worker/control.py",
        before="            self._clients[client] = session, key\n",
        after="",
        tests=(
            "end_to_end/test_roles.py::"
            "test_live_objects_of_a_revoked_or_kicked_client_end_with_it_and_an_invitation_outlives_hub_and_kernel",
        ),
    ),
    Mutant(
        promise="strangers of one address leave places to those of others",
        file="hub/places.py",
        before="                    oldest.shutdown(socket.SHUT_RDWR)",
        after="                    pass",
        tests=(
            f"{_SERVER}test_where_an_address_has_many_strangers_the_oldest_makes_room_for_the_next_and_others_find_places",
        ),
    ),
    Mutant(
        promise="a long queue comes in pages",
        file="core/commands.py",
        before='kinds.INT, "how many", 100, limits=(0, _MAX_PAGE)',
        after='kinds.INT, "how many", 100, limits=(0, 10**9)',
        tests=("hub/test_exposed_methods.py::test_a_long_queue_is_shown_by_its_length_and_its_first_page",),
    ),
    Mutant(
        promise="a follower of much output gets it in pieces",
        file="hub/journal/readers.py",
        before="self._chars >= _FULL_CHARS or ",
        after="",
        tests=("hub/journal/test_journal.py::test_a_follower_of_much_output_gets_it_piece_by_piece",),
    ),
    Mutant(
        promise="a follower gets the events of its execution only",
        file="hub/journal/readers.py",
        before="if event[3] == self.execution and event[0] > self.cursor:",
        after="if event[0] > self.cursor:",
        tests=("hub/journal/test_journal.py::test_a_follower_gets_all_of_an_execution_in_one_answer_when_it_ends",),
    ),
    Mutant(
        promise="a search looks at inputs only",
        file="hub/journal/inputs.py",
        before=" AND NOT {_IS_NO_INPUT}",
        after="",
        tests=("hub/journal/test_journal.py::test_a_search_in_the_history_looks_at_inputs_only",),
    ),
    Mutant(
        promise="what stands in a name is not found in the history",
        file="system/journal_file.py",
        before='_is_input(event) and pattern in event.payload["code"]',
        after="_is_input(event)",
        tests=("hub/journal/test_journal.py::test_a_pattern_that_stands_in_a_name_only_is_not_found",),
    ),
    Mutant(
        promise="those who are inside find places where new clients find none",
        file="hub/places.py",
        before="self._max_when_new if welcome.channel == handshake.COMMANDS else self._max_proven",
        after="self._max_when_new",
        tests=(
            "hub/test_server.py::test_where_new_clients_find_no_room_those_inside_open_channels_and_others_look_and_stop"
            "_the_kernel",
        ),
    ),
    Mutant(
        promise="no number is given twice though the disk was full",
        file="hub/hub.py",
        before="if self._journal.trouble is not None and worker is not None:",
        after="if False:",
        tests=(
            "end_to_end/test_full_disk.py::test_no_number_is_given_twice_though_the_disk_was_full_when_the_hub_was_killed",
        ),
    ),
    Mutant(
        promise="a connection that the worker had is known to be over",
        file="hub/worker_link.py",
        before="if future is None or not succeeded:\n",
        after="if not succeeded:\n",
        tests=("hub/test_worker_link.py::test_that_a_client_is_served_no_more_is_told_once[served and gone]",),
    ),
    Mutant(
        promise="who is gone without a word is told from who leaves",
        file="hub/server.py",
        before="                why = Departure.LEFT\n",
        after="                pass\n",
        tests=("hub/test_server.py::test_who_is_connected_from_where_and_for_what_is_told",),
    ),
    Mutant(
        promise="who looks on is not told where a kernel's sockets are",
        file="hub/service.py",
        before="self._folder = folder if works_here else None",
        after="self._folder = folder",
        tests=("end_to_end/test_viewers.py::test_a_viewer_sees_everything",),
    ),
)
