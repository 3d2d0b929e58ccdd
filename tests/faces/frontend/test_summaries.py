import socket

import pytest

from rpyc_kernel.core.introspection import Inspection, Variable
from rpyc_kernel.faces.frontend import summaries
from tests.faces.frontend.events import ALICE, ME, make_channel, make_item, make_session, make_status


def test_the_status_says_who_does_what_and_who_waits():
    status = make_status(
        state="busy",
        running=make_item(3, ALICE, "slow()"),
        busy_since=88.0,
        queue=[make_item(4)],
        prompts=[{"execution": 3, "session": ALICE}],
        sessions=[
            make_session("me", ME, channels=[make_channel(since=0.0), make_channel("events", since=5.0)]),
            make_session(
                "alice",
                ALICE,
                role="viewer",
                doing="asked",
                execution=3,
                channels=[make_channel(address="192.0.2.7", host="laptop"), make_channel(address="192.0.2.7")],
            ),
            make_session("bob", connections=0, doing="gone"),
        ],
    )
    since = f"since {summaries.format_time(0.0)}"
    assert summaries.summarise_status(status) == [
        "kernel     demo, busy, generation 1",
        "processes  hub 10, worker 11 with 33 MB",
        "running    [3] of alice (slow()), for 12.0 s",
        "queued     [4] of me (work())",
        "asking     execution 3 waits for input from alice",
        f"present    me     editor  idle       {since} from this machine",
        f"present    alice  viewer  asked [3]  {since} from laptop (192.0.2.7), 192.0.2.7",
    ]
    assert summaries.summarise_status(make_status(sessions=[]))[-1] == "present    nobody"
    assert summaries.summarise_status(make_status(runtime_folder="/run/demo"))[2] == "sockets    in /run/demo"
    embedded = make_status(program="python shop.py (process 4711)")
    assert summaries.summarise_status(embedded)[2] == "embedded   in python shop.py (process 4711)"


@pytest.mark.parametrize(
    ("host", "address"), [("", ""), ("", "127.0.0.1"), ("own", ""), ("own", "127.0.0.1"), ("own", "::1")]
)
def test_this_machine_is_called_so_whichever_way_one_comes(host, address):
    host = host and socket.gethostname()
    (line,) = summaries.summarise_sessions([make_session("me", channels=[make_channel(host=host, address=address)])])
    assert line.endswith(" from this machine")


@pytest.mark.parametrize(("role", "told"), [("viewer", "looking on"), ("editor", "idle")])
def test_who_only_reads_what_happens_looks_on_or_is_idle(role, told):
    (line,) = summaries.summarise_sessions([make_session("me", role=role, doing="reading", channels=[])])
    assert line.split("  ")[2] == told


def test_the_user_is_told_which_session_is_theirs():
    lines = summaries.summarise_sessions(make_status()["sessions"], ME)
    assert [line.split("  ")[0] for line in lines] == ["me (you)", "alice"]


def test_who_comes_in_is_told_what_is_in_the_way():
    busy = make_status(running=make_item(3, ALICE, "slow()"), busy_since=88.0, queue=[make_item(4)])
    assert summaries.summarise_trouble(busy) == ["it is busy with [3] of alice (slow()), for 12.0 s, and 1 more wait"]
    assert "%restart" in summaries.summarise_trouble(make_status(state="dead"))[0]
    assert summaries.summarise_trouble(make_status()) == []


def test_a_queued_execution_is_told_its_place():
    status = make_status(running=make_item(3, ALICE, "slow()"), queue=[make_item(4, ALICE), make_item(5)])
    assert summaries.summarise_place(status, 5) == "[5] is queued, behind 1 more; it waits for [3] of alice (slow())"
    assert summaries.summarise_place(status, 4) == "[4] is queued; it waits for [3] of alice (slow())"


def test_what_is_held_waits_for_approval_and_holds_nobody_up():
    held = {**make_item(3, ALICE, "rm()"), "is_held": True}
    status = make_status(running=make_item(2, ALICE, "slow()"), busy_since=88.0, queue=[held, make_item(4)], held=1)
    assert summaries.summarise_status(status)[3:5] == [
        "held       [3] of alice (rm())",
        "queued     [4] of me (work())",
    ]
    assert summaries.summarise_trouble(status) == [
        "it is busy with [2] of alice (slow()), for 12.0 s, and 1 more wait",
        "1 waits for approval: %status lists, %approve lets go",
    ]
    assert summaries.summarise_trouble(make_status(queue=[held], held=1)) == [
        "1 waits for approval: %status lists, %approve lets go"
    ]
    assert summaries.summarise_place(status, 4) == "[4] is queued; it waits for [2] of alice (slow())"


def test_variables_stand_in_columns():
    variables = [
        Variable("x", "x", "int", preview="42"),
        Variable("table", "table", "ndarray", 12, (3, 4), "float64", preview="<array>"),
        Variable("s", "s", "str", 5, preview="'a\x1b[2Jb'"),
    ]
    assert summaries.summarise_variables(variables) == [
        "x      int                   42",
        "table  ndarray  3x4 float64  <array>",
        "s      str      5            'ab'",
    ]
    assert summaries.summarise_variables([]) == []


def test_help_shows_documentation_and_on_request_the_source():
    found = Inspection(
        "f", True, "function", "<function f>", "(x)", doc="Double it.", source="def f(x): ...", file="<In 3>", line=1
    )
    assert summaries.summarise_inspection(found, with_source=False) == [
        "f(x)", "type    function", "file    <In 3>:1", "Double it.",
    ]  # fmt: skip
    assert summaries.summarise_inspection(found, with_source=True)[-1] == "def f(x): ..."
    assert summaries.summarise_inspection(Inspection("g"), with_source=False) == ["there is no g"]


@pytest.mark.parametrize(("seconds", "told"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (61, "1 min"), (7260, "2 h 1 min")])
def test_durations_are_told_as_people_tell_them(seconds: float, told: str):
    assert summaries.format_duration(seconds) == told


def test_a_queue_of_which_only_the_beginning_is_shown_is_told_as_such():
    queue = [make_item(number) for number in range(2, 102)]
    status = make_status(running=make_item(1, ALICE, "slow()"), queue=queue, queue_length=500)
    assert "queued     400 more" in summaries.summarise_status(status)
    assert "and 500 more wait" in summaries.summarise_trouble(status)[0]
    assert summaries.is_waiting(status, 2)
    assert summaries.is_waiting(status, 300)
    assert not summaries.is_waiting(status, 1)
    assert "[300] is queued, behind at least 100 more" in summaries.summarise_place(status, 300)
    assert "[3] is queued, behind 1 more" in summaries.summarise_place(status, 3)


def test_what_is_wrong_with_the_journal_is_told():
    status = make_status(journal="the journal cannot be written\x1b[2J")
    assert summaries.summarise_status(status)[-1].startswith("trouble    the journal cannot be written")
    assert "\x1b" not in summaries.summarise_status(status)[-1]
