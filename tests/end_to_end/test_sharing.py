import json
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel import KernelClient
from tests.end_to_end.clients import PATIENCE_S, Connect, StartClient
from tests.support.waiting import wait_until

LINE = "a line that is printed very often: ä € 𝄞 \x1b[0m"
PRINT_MUCH = f"for number in range(80_000): print(number, {LINE!r})"
ADAS_CODES = ["print('ada was here')", "shared = 6 * 7; shared", PRINT_MUCH]
BOBS_CODES = [
    "import sys; print('bob was here'); print('and complained', file=sys.stderr)",
    "raise ValueError('bob\\'s mistake')",
    "'a result', 2.5, None, b'\\xff'",
    PRINT_MUCH,
]


@pytest.fixture
def records(kernel: KernelClient, start_client: StartClient, tmp_path: Path) -> dict[str, bytes]:
    """What three client processes saw of the same events, the last of which came when all was over."""
    clients = {
        "ada": start_client("share", "demo", "ada", tmp_path / "ada", *ADAS_CODES),
        "bob": start_client("share", "demo", "bob", tmp_path / "bob", *BOBS_CODES),
    }
    for client in clients.values():
        client.hear("done")
    clients["late"] = start_client("share", "demo", "late", tmp_path / "late")
    clients["late"].hear("done")
    last = kernel.status()["last"]
    for client in clients.values():
        client.tell(last)
    for client in clients.values():
        client.hear("written")
    return {name: (tmp_path / name).read_bytes() for name in clients}


def test_clients_who_were_there_and_one_who_came_late_see_the_same_events_to_the_last_byte(
    records: dict[str, bytes],
):
    assert records["ada"] == records["bob"]
    assert records["ada"] == records["late"]
    numbers = [json.loads(line)["seq"] for line in records["ada"].splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_each_client_sees_code_output_results_and_errors_of_the_others_with_their_author(records: dict[str, bytes]):
    for seen in records.values():
        events = [json.loads(line) for line in seen.splitlines()]
        ada, bob = (find_session(events, name) for name in ("ada", "bob"))
        assert [event["code"] for event in select(events, ada, "queued")] == ADAS_CODES
        assert [event["code"] for event in select(events, bob, "queued")] == BOBS_CODES
        assert {event["name"] for event in select(events, bob, "queued")} == {"bob"}
        printed = "".join(f"{number} {LINE}\n" for number in range(80_000))
        assert read_stream(events, ada, "stdout") == "ada was here\n" + printed
        assert read_stream(events, bob, "stdout") == "bob was here\n" + printed
        assert read_stream(events, bob, "stderr") == "and complained\n"
        assert [event["data"]["text/plain"] for event in select(events, ada, "result")] == ["42"]
        assert [event["data"]["text/plain"] for event in select(events, bob, "result")] == [
            "('a result', 2.5, None, b'\\xff')"
        ]
        (error,) = select(events, bob, "error")
        assert (error["ename"], error["evalue"]) == ("ValueError", "bob's mistake")
        assert [event["outcome"] for event in select(events, bob, "finished")] == ["ok", "error", "ok", "ok"]
        assert not select(events, ada, "error")


def find_session(events: list[dict[str, Any]], name: str) -> str:
    return next(event["session"] for event in events if event["kind"] == "queued" and event["name"] == name)


def select(events: list[dict[str, Any]], session: str, kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["session"] == session and event["kind"] == kind]


def read_stream(events: list[dict[str, Any]], session: str, name: str) -> str:
    return "".join(event["text"] for event in select(events, session, "stream") if event["name"] == name)


def test_only_the_first_of_a_session_is_told_that_it_was_the_first(kernel: KernelClient, connect: Connect):
    first, second = (connect(session="shared") for _ in range(2))
    assert (first.came_first, second.came_first) == (True, False)
    first.close()
    second.close()
    left = {"id": "shared", "connections": 0}
    wait_until(lambda: any(left.items() <= known.items() for known in kernel.sessions()), PATIENCE_S)
    assert connect(session="shared").came_first
