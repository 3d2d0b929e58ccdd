"""What the next hub has to know is the same, read from the whole past or from where it was written down last."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.core.payloads import load_payload
from rpyc_kernel.hub.journal.recovery import Recovery

numbers, names = st.integers(1, 5), st.sampled_from(["a", "b", "c"])
facts = st.one_of(
    st.tuples(st.just(Kind.QUEUED), numbers, names, st.just({})),
    st.tuples(st.just(Kind.APPROVED), numbers, names, st.just({})),
    st.tuples(st.just(Kind.STARTED), numbers, names, st.just({})),
    st.tuples(st.just(Kind.FINISHED), numbers, names, st.just({})),
    st.tuples(st.just(Kind.STREAM), numbers, names, st.just({})),
    st.tuples(st.just(Kind.HUB_STOPPED), st.none(), st.none(), st.just({})),
    st.tuples(
        st.sampled_from([Kind.WORKER_STARTED, Kind.WORKER_DIED]),
        st.none(),
        st.none(),
        st.fixed_dictionaries({"generation": numbers}),
    ),
    st.tuples(
        st.just(Kind.CLIENT_JOINED), st.none(), names, st.fixed_dictionaries({"name": names, "role": st.just("user")})
    ),
    st.tuples(st.just(Kind.INPUT_REQUESTED), numbers, names, st.fixed_dictionaries({"token": numbers})),
    st.tuples(st.just(Kind.INPUT_ANSWERED), numbers, names, st.fixed_dictionaries({"token": numbers})),
)


def as_rows(several):
    return [
        (seq, float(seq), kind, execution, session, json.dumps(payload), seq % 2 or None, seq * 8 if seq % 2 else None)
        for seq, (kind, execution, session, payload) in enumerate(several, 1)
    ]


def fold(several):
    recovery = Recovery()
    recovery.follow(as_rows(several), load_payload)
    return recovery


def restore(recovery):
    return recovery.restored({number: {"seq": seq} for number, (seq, _) in recovery.unfinished.items()})


@given(st.lists(facts, max_size=30), st.integers(0, 30))
def test_what_was_written_down_on_the_way_changes_nothing(several, at):
    written = Recovery.from_text(fold(several[:at]).as_text())
    written.follow(as_rows(several)[at:], load_payload)
    whole = fold(several)
    assert restore(written) == restore(whole)
    assert written.ring_position(1) == whole.ring_position(1)


def test_what_is_unfinished_is_told_in_the_order_of_the_queue():
    recovery = fold(
        [
            (Kind.CLIENT_JOINED, None, "a", {"name": "alice", "role": "user"}),
            (Kind.WORKER_STARTED, None, None, {"generation": 2}),
            (Kind.QUEUED, 1, "a", {}),
            (Kind.STARTED, 1, "a", {"count": 7}),
            (Kind.QUEUED, 2, "a", {}),
            (Kind.QUEUED, 3, "a", {}),
            (Kind.INPUT_REQUESTED, 1, "a", {"token": 9}),
            (Kind.FINISHED, 2, "a", {}),
        ]
    )
    restored = restore(recovery)
    assert (restored.generation, restored.had_worker, restored.last_execution) == (2, True, 3)
    assert restored.unfinished == ((1, "a", {"seq": 3}, 4.0, 7), (3, "a", {"seq": 6}, None, None))
    assert restored.prompts == ((9, 1, "a"),)
    assert restored.sessions == (("a", "alice", "user"),)


@pytest.mark.parametrize("count", [None, "seven", [7], True])
def test_what_has_begun_has_begun_whatever_its_count_is(count):
    recovery = fold([(Kind.QUEUED, 1, "a", {}), (Kind.STARTED, 1, "a", {"count": count})])
    assert restore(recovery).unfinished == ((1, "a", {"seq": 1}, 2.0, None),)


def test_what_was_approved_is_known_until_it_has_ended():
    queued = [(Kind.QUEUED, number, "a", {}) for number in (1, 2, 3)]
    approved = [(Kind.APPROVED, number, "a", {"by": "b"}) for number in (1, 2, 4)]
    recovery = Recovery.from_text(fold([*queued, *approved, (Kind.FINISHED, 1, "a", {})]).as_text())
    assert restore(recovery).approved == {2}
    told = json.loads(recovery.as_text())
    del told["let_go"]  # as before there was anything to approve
    assert restore(Recovery.from_text(json.dumps(told))).approved == frozenset()


def test_a_clean_stop_settles_everything_but_the_numbers():
    recovery = fold(
        [
            (Kind.CLIENT_JOINED, None, "a", {"name": "alice", "role": "user"}),
            (Kind.WORKER_STARTED, None, None, {"generation": 2}),
            (Kind.QUEUED, 7, "a", {}),
            (Kind.INPUT_REQUESTED, 7, "a", {"token": 9}),
            (Kind.HUB_STOPPED, None, None, {}),
        ]
    )
    restored = restore(recovery)
    assert (restored.generation, restored.last_execution, restored.had_worker) == (2, 7, False)
    assert (restored.unfinished, restored.prompts, restored.sessions) == ((), (), ())


def test_sessions_that_come_and_go_are_forgotten_in_the_end_but_for_those_that_own_something():
    joined = [(Kind.CLIENT_JOINED, None, str(n), {"name": "n", "role": "user"}) for n in range(1000)]
    recovery = fold([*joined[:1], (Kind.QUEUED, 1, "0", {}), *joined[1:]])
    known = [session for session, *_ in restore(recovery).sessions]
    assert len(known) == 100
    assert known[0] == "0"
    assert known[-1] == "999"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"queued": 5}', "[" * 100_000])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValueError, match=r"no record|Expecting|char"):
        Recovery.from_text(text)


@pytest.mark.parametrize("kind", [Kind.WORKER_STARTED, Kind.INPUT_REQUESTED, Kind.CLIENT_JOINED, Kind.QUEUED])
def test_a_damaged_event_is_passed_over(kind):
    recovery = fold([(Kind.QUEUED, 1, "a", {})])
    recovery.take(2, 2.0, kind, None, None, {"token": []})
    assert list(recovery.unfinished) == [1]
