"""The stdio server as a program in another language has it: real processes, and JSON on pipes."""

import json
import os
import signal
import subprocess
import time

import pytest

import rpyc_kernel
from rpyc_kernel.faces.stdio.framing import encode_message
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import run_command
from tests.end_to_end.rpc import dial
from tests.end_to_end.terminals import COMMAND, ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel


@pytest.fixture
def client(kernel, serve):
    """A client with the kernel 'demo', by the name of an editor."""
    served = serve("demo")
    assert served.ask("initialize", client_name="an editor")["kernel"]["name"] == "demo"
    return served


# ------------------------------------------------------------------ what it is for


def test_code_is_evaluated_and_its_output_value_and_error_come_back(client):
    told = client.ask("code/run", code="print('hello'); 6 * 7")
    assert (told["text"], told["result"]["data"]["text/plain"], told["outcome"]) == ("hello\n", "42", "ok")
    failed = client.ask("code/run", code="\n1 / 0", file="/somewhere/cell.py", first_line=10)
    assert (failed["outcome"], failed["error"]["ename"]) == ("error", "ZeroDivisionError")
    assert '"/somewhere/cell.py", line 11' in failed["error"]["traceback"]


def test_others_see_who_it_is_and_it_sees_what_they_do(client, kernel):
    client.ask("events/subscribe")
    assert "an editor" in [session["name"] for session in kernel.sessions()]
    with rpyc_kernel.connect("demo", name="alice") as alice:
        run = alice.execute("'from alice'")
        assert client.hear_event("queued", lambda event: event["name"] == "alice")["execution"] == run.id
        assert client.hear_event("result")["literal"] == "'from alice'"
    client.ask("code/run", code="ours = 1")
    assert kernel.history("ours")[-1].name == "an editor"


def test_a_kernel_is_started_where_there_is_none(folders, serve):
    with_name = serve("fresh")
    assert with_name.ask("code/run", code="1 + 1")["result"]["data"] == {"text/plain": "2"}
    by_request = serve()
    assert by_request.ask("initialize")["kernel"] is None
    assert by_request.fail("connect", address="other")["data"] == {"type": "NoSuchKernel"}
    number = by_request.begin("connect", address="other", start=True, engine="plain", progress_token="t")
    assert by_request.hear("$/progress", lambda told: told["value"]["kind"] == "report")["token"] == "t"
    assert by_request.end(number)["result"]["name"] == "other"
    assert {each["name"] for each in by_request.ask("kernels")} >= {"fresh", "other"}
    assert by_request.ask("kernel/python")["engine"] == "plain"


def test_one_server_has_several_kernels(client, folders):
    with rpyc_kernel.start("second", timeout=PATIENCE_S):
        second = client.ask("connect", address="second", name="somebody")
        assert second["client_name"] == "somebody"
        first = client.ask("initialize")["kernel"]["kernel"]
        client.ask("code/run", code="where = 'first'", kernel=first)
        client.ask("code/run", code="where = 'second'", kernel=second["kernel"])
        told = [
            client.ask("kernel/inspect", code="where", kernel=each)["preview"] for each in (first, second["kernel"])
        ]
        assert told == ["'first'", "'second'"]
        error = client.fail("kernel/status")
        assert error["code"] == -32602
        assert first in error["message"]
        client.ask("disconnect", kernel=second["kernel"])
        assert client.ask("kernel/status")["kernel"] == "demo"
        assert client.fail("kernel/status", kernel=second["kernel"])["code"] == -32602


def test_variables_and_tables_come_in_pages_while_code_runs(client):
    client.ask("code/run", code="table = list(range(100))")
    client.begin("code/run", code="import time\nwhile 'stop' not in globals(): time.sleep(0.01)")
    assert [each["name"] for each in client.ask("kernel/variables")][:1] == ["table"]
    page = client.ask("kernel/children", path="table", start=98, count=5)
    assert (page["count"], [each["name"] for each in page["items"]]) == (100, ["[98]", "[99]"])
    cells = client.ask(
        "kernel/cells", path="table", end_row=2, sort=[["value", "descending"]], filter=[["value", "<", "50"]]
    )
    assert (cells["row_count"], cells["rows"][0]) == (50, ["49"])
    client.ask("kernel/set_variable", path="stop", literal="1")


def test_a_prompt_is_asked_and_answered_or_withdrawn_when_somebody_else_answers(client, kernel):
    client.ask("events/subscribe", answers_prompts=True)
    number = client.begin("code/run", code="input('who? ')")
    asked = client.hear("input/request")
    assert (asked["prompt"], asked["password"]) == ("who? ", False)
    client.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"text": "me"}})
    assert client.end(number)["result"]["result"]["data"] == {"text/plain": "'me'"}
    number = client.begin("code/run", code="input()")
    asked = client.hear("input/request")
    kernel.answer_input("somebody else", asked["execution"])
    assert client.hear("$/cancelRequest")["id"] == asked["id"]
    assert client.end(number)["result"]["result"]["data"] == {"text/plain": "'somebody else'"}
    number = client.begin("code/run", code="input()")
    asked = client.hear("input/request")
    client.send({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "no"}})
    kernel.answer_input("left to others", asked["execution"])
    assert client.end(number)["result"]["outcome"] == "ok"


def test_a_prompt_that_waits_is_asked_as_it_was_when_somebody_comes_to_answer(client):
    code = "import getpass; print('asks', flush=True); getpass.getpass('key? ')"
    number = client.begin("code/run", code=code)
    wait_until(lambda: client.ask("kernel/status")["prompts"], PATIENCE_S, "the prompt")
    client.ask("events/subscribe", answers_prompts=True)
    asked = client.hear("input/request")
    assert (asked["prompt"], asked["password"]) == ("key? ", True)
    client.send({"jsonrpc": "2.0", "id": asked["id"], "result": {"text": "secret"}})
    assert client.end(number)["result"]["result"]["data"] == {"text/plain": "'secret'"}


def test_who_comes_back_gets_what_was_missed(client, kernel, serve):
    session = client.ask("kernel/hello")["session"]
    client.ask("events/subscribe")
    client.ask("code/run", code="print('seen')")
    seen = client.hear_event("finished")["seq"]
    client.ask("kernel/acknowledge", cursor=seen)
    client.begin("code/run", code="print('missed')")
    client.hear_event("queued", lambda event: "missed" in event["code"])
    client.process.kill()
    again = serve("demo", "--session", session)
    assert again.ask("events/subscribe", resume=True)["cursor"] == seen
    assert again.hear_event("stream")["text"] == "missed\n"


def test_cancelling_takes_code_out_of_the_queue_or_interrupts_it(client):
    client.ask("events/subscribe")
    running = client.begin("code/run", code="import time\nwhile True: time.sleep(0.01)")
    client.hear_event("started")
    waiting = client.begin("code/run", code="never = 1")
    client.hear_event("queued", lambda event: event["code"] == "never = 1")
    client.tell("$/cancelRequest", id=waiting)
    assert client.end(waiting)["error"]["code"] == -32800
    assert client.hear_event("finished")["outcome"] == "cancelled"
    client.tell("$/cancelRequest", id=running)
    assert client.end(running)["error"]["code"] == -32800
    assert client.hear_event("finished")["outcome"] == "interrupted"


def test_a_request_that_is_taken_back_before_it_is_begun_is_answered(client):
    request = {"jsonrpc": "2.0", "id": "x", "method": "events/subscribe", "params": {}}
    taken_back = {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "x"}}
    client.send_bytes(encode_message(request) + encode_message(taken_back))
    assert client.end("x")["error"]["code"] == -32800


def test_a_display_of_any_size_is_told_and_fetched_in_parts(client):
    client.ask("events/subscribe", max_part=1000)
    code = "from IPython.display import display\ndisplay({'text/plain': 'x' * 3_000_000, 'text/html': '<b>'}, raw=True)"
    told = client.ask("code/run", code=code)
    assert told["displays"][0]["omitted"] == {"text/plain": 3_000_000}
    event = client.hear_event("display")
    assert event["data"] == {"text/plain": None, "text/html": "<b>"}
    part = client.ask("events/data", seq=event["seq"], mime="text/plain", start=2_999_998, count=10)
    assert part == {"text": "xx", "start": 2_999_998, "size": 3_000_000}
    assert client.fail("events/data", seq=event["seq"], mime="image/png")["code"] == -32001


# ------------------------------------------------------------------ faults


def test_a_hub_that_is_killed_comes_back_and_events_go_on(folders, serve):
    client = serve("other")
    client.ask("events/subscribe")
    number = client.begin("code/run", code="import time\nwhile 'stop' not in globals(): time.sleep(0.01)\n'done'")
    client.hear_event("started")
    os.kill(client.ask("kernel/status")["hub_pid"], signal.SIGKILL)
    assert not client.hear("connection")["is_connected"]
    handed_in = client.begin("kernel/set_variable", path="stop", literal="1")
    with rpyc_kernel.start("other", timeout=PATIENCE_S):
        client.hear("connection", lambda told: told["is_connected"])
        assert client.end(handed_in)["result"] is None
        assert client.end(number)["result"]["result"]["data"] == {"text/plain": "'done'"}
        assert client.hear_event("result")["literal"] == "'done'"


def test_a_kernel_that_stops_is_told_and_its_requests_fail_while_the_others_go_on(folders, serve):
    client = serve("other")
    client.ask("events/subscribe")
    number = client.begin("code/run", code="import time; time.sleep(600)")
    client.hear_event("started")
    client.ask("kernel/shutdown")
    assert client.hear("connection", lambda told: told["is_closed"])["message"] == "the kernel has stopped"
    assert client.end(number)["result"]["outcome"] == "lost"
    failed = client.fail("kernel/cwd")
    assert failed["data"]["type"] == "ConnectionLost"
    assert "the other side has ended it; it was stopped, or has sent this client away" in failed["message"]
    assert "other" not in [each["name"] for each in client.ask("kernels")]
    ended = client.ask("connect", address="other", start=True)["kernel"]
    assert client.ask("code/run", code="'anew'")["outcome"] == "ok"
    assert client.fail("kernel/cwd", kernel="k1")["data"]["type"] == "ConnectionLost"
    assert ended == "k2"


def test_who_only_asks_is_told_that_the_connection_is_lost_and_there_again_or_gone(folders, serve):
    client = serve("other")
    os.kill(client.ask("kernel/status")["hub_pid"], signal.SIGKILL)
    assert not client.hear("connection")["is_connected"]
    with rpyc_kernel.start("other", timeout=PATIENCE_S) as other:
        assert client.hear("connection", lambda told: told["is_connected"])["message"] == ""
        session = client.ask("kernel/hello")["session"]
        other.kick(session)
        assert "has ended this session" in client.hear("connection", lambda told: told["is_closed"])["message"]
        assert client.fail("kernel/status")["data"]["type"] == "NotPermitted"


def test_what_is_wrong_with_a_request_is_said_of_that_request_alone(client):
    for method, params, code in (
        ("nonsense", {}, -32601),
        ("kernel/complete", {"code": 5}, -32602),
        ("kernel/complete", {}, -32602),
        ("kernel/complete", {"code": "", "more": 1}, -32602),
        ("kernel/cancel", {"execution": 10**6}, -32006),
        ("kernel/interrupt", {"execution": 1 << 200}, -32602),
        ("kernel/answer_input", {"text": "x"}, -32009),
        ("kernel/children", {"path": "no_such"}, -32010),
        ("debug/send", {"debugger": "d9", "message": {}}, -32602),
        ("connect", {"address": "no name"}, -32002),
        ("connect", {"address": "/no/such.json", "start": True}, -32004),
        ("kernel/execute", {"code": "\ud800"}, -32003),
    ):
        assert client.fail(method, **params)["code"] == code, method
    for message, code in (
        ([], -32600),
        (5, -32600),
        ({"jsonrpc": "2.0", "id": 9}, -32600),
        ({"jsonrpc": "2.0", "id": [], "method": "kernels"}, -32600),
        ({"jsonrpc": "2.0", "id": 9, "method": 5}, -32600),
        ({"jsonrpc": "2.0", "id": 9, "method": "kernels", "params": [1]}, -32602),
    ):
        client.send(message)
        assert client.wait(lambda each: "error" in each)["error"]["code"] == code, message
    client.send_bytes(b"Content-Length: 2\r\n\r\n\xff\xfe")
    assert client.wait(lambda each: "error" in each)["error"]["code"] == -32700
    assert client.ask("code/run", code="'well'")["outcome"] == "ok"


def test_ten_thousand_requests_at_once_are_all_answered(client):
    numbers = {client.begin("kernel/is_complete", code="1") for _ in range(10_000)}  # of which no answer is read
    answers = [client.wait(lambda message: "id" in message) for _ in numbers]
    assert [answer for answer in answers if "error" in answer] == []
    assert {answer["id"] for answer in answers} == numbers


def test_a_client_that_does_not_read_loses_nothing_and_the_server_holds_little(client, kernel):
    client.ask("events/subscribe")
    before, lines, held = _resident_bytes(client.process.pid), 300_000, 0
    kernel.execute(f"for number in range({lines}): print(number, 'x' * 190)", timeout=PATIENCE_S)  # 60 MB
    while (now := _resident_bytes(client.process.pid)) > held:
        held = now
        kernel.execute("import time; time.sleep(0.3)", timeout=PATIENCE_S)  # in which it would go on
    numbers, rest = [], ""
    while not numbers or numbers[-1] != str(lines - 1):
        *whole, rest = (rest + client.hear_event("stream")["text"]).split("\n")
        numbers += [line.split()[0] for line in whole]
    assert numbers == [str(number) for number in range(lines)]
    assert held - before < 50 * 1024 * 1024


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_worker_that_answers_nothing_keeps_nobody_else_waiting(client):
    client.ask("events/subscribe")
    # One call in C, which lets go of the interpreter's lock only at its end.
    running = client.begin("code/run", code="print('in', flush=True); sum(range(10**12))")
    client.hear_event("stream")
    waiting = client.begin("kernel/complete", code="impor")
    assert client.ask("kernel/status")["state"] == "busy"
    client.ask("kernel/interrupt", force="terminate")
    assert client.end(running)["result"]["outcome"] == "lost"
    assert client.end(waiting)["error"]["data"]["type"] in ("WorkerBusy", "KernelDied")


# ------------------------------------------------------------------ the process


def test_the_server_ends_with_its_input_and_says_nothing_beside(client, kernel):
    client.ask("events/subscribe")
    client.begin("code/run", code="left_running = 1")
    assert client.leave() == (0, "")
    wait_until(lambda: kernel.variables() and kernel.variables()[0].name == "left_running", PATIENCE_S)


def test_exit_and_signals_end_it(client, serve):
    client.ask("shutdown")
    client.tell("exit")
    assert client.process.wait(PATIENCE_S) == 0
    other = serve("demo")
    other.ask("initialize")
    other.process.send_signal(signal.SIGTERM)
    assert other.process.wait(PATIENCE_S) == 143


def test_who_leaves_ends_no_code_that_was_waited_for(client, kernel):
    client.ask("events/subscribe")
    running = kernel.submit("import time\nwhile 'stop' not in globals(): time.sleep(0.01)")
    client.begin("code/run", code="ran = True", progress_token="its number is known at once")
    execution = client.hear_event("queued", lambda event: event["code"] == "ran = True")["execution"]
    client.hear("$/progress", lambda told: "is queued" in told["value"]["message"])
    assert client.vanish() == 0
    kernel.set_variable("stop", "1")
    running.result(PATIENCE_S)
    kernel.execution(execution).result(PATIENCE_S)
    assert kernel.eval("ran")


def test_what_was_asked_before_the_input_ended_is_answered_as_long_as_somebody_reads_it(client, kernel):
    client.ask("events/subscribe")
    running = client.begin("code/run", code="import time\nwhile 'go' not in globals(): time.sleep(0.01)\n'gone'")
    waiting = client.begin("code/run", code="later = 6 * 7; later")
    client.hear_event("queued", lambda event: "later" in event["code"])
    client.process.stdin.close()
    with rpyc_kernel.connect("demo") as other:
        other.set_variable("go", "1")
    assert client.end(running)["result"]["result"]["data"]["text/plain"] == "'gone'"
    assert client.end(waiting)["result"]["result"]["data"]["text/plain"] == "42"
    assert client.process.wait(PATIENCE_S) == 0


def test_what_a_hub_that_is_gone_does_not_answer_keeps_no_server_whose_input_has_ended(folders, serve):
    client = serve("other")
    os.kill(client.ask("kernel/status")["hub_pid"], signal.SIGKILL)
    client.hear("connection")
    client.begin("kernel/status")
    client.process.stdin.close()
    assert client.process.wait(PATIENCE_S / 3) == 0  # the way back is tried for a minute


def test_a_hub_that_is_gone_takes_no_answer_of_another_kernel_with_it_when_the_input_ends(client, kernel, folders):
    other = client.ask("connect", address="other", start=True)
    os.kill(client.ask("kernel/status", kernel=other["kernel"])["hub_pid"], signal.SIGKILL)
    client.hear("connection")
    lost = client.begin("kernel/status", kernel=other["kernel"])
    code = "import time\nwhile 'go' not in globals(): time.sleep(0.01)\n'gone'"
    waiting = client.begin("code/run", code=code, kernel="k1")
    client.process.stdin.close()
    assert client.end(lost)["error"]["data"]["type"] == "ConnectionLost"
    kernel.set_variable("go", "1")
    assert client.end(waiting)["result"]["result"]["data"]["text/plain"] == "'gone'"
    assert client.process.wait(PATIENCE_S) == 0


def test_requests_in_a_pipe_are_answered_before_the_kernel_is_there(kernel, tmp_path):
    asked = [{"jsonrpc": "2.0", "id": 1, "method": "code/run", "params": {"code": "piped = 6 * 7; piped"}}]
    asked.append({"jsonrpc": "2.0", "method": "kernel/execute", "params": {"code": "told = 1"}})
    asked.append({"jsonrpc": "2.0", "id": 2, "method": "kernel/cwd"})
    told = b"".join(map(encode_message, asked))
    done = run_command("serve", "demo", "--stdio", input_text=told.decode())
    assert (done.returncode, done.stderr) == (0, "")
    assert '"text/plain":"42"' in done.stdout
    assert '"id":2,"result":"' in done.stdout
    wait_until(lambda: kernel.eval("'told' in globals()"), PATIENCE_S)


@pytest.mark.parametrize("source", ["file", os.devnull])
def test_input_and_output_may_be_files(kernel, tmp_path, source):
    requests, answers = tmp_path / "requests", tmp_path / "answers"
    requests.write_text("Content-Length: 2\r\n\r\n[]")
    with open(requests if source == "file" else source) as given, answers.open("w") as target:
        command = [*COMMAND, "serve", "--stdio"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, stdin=given, stdout=target, env=environment, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert ('"code":-32600' in answers.read_text()) is (source == "file")


def test_a_port_lets_in_only_who_knows_the_key(kernel, start_command):
    command = start_command("serve", "demo", "--tcp", "0")
    told = json.loads(command.read_line())
    sock, client = dial(told["port"])
    with sock:
        assert client.fail("kernel/status")["code"] == -32051
        began = time.monotonic()
        assert client.fail("initialize", key="wrong")["code"] == -32051
        assert time.monotonic() - began > 0.9
        assert client.ask("initialize", key=told["key"])["kernel"]["name"] == "demo"
        assert client.ask("code/run", code="6 * 7")["outcome"] == "ok"
    other, second = dial(told["port"])
    with other:
        assert second.ask("initialize", key=told["key"])["kernel"]["name"] == "demo"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["demo"], "say how to serve"),
        (["demo", "--stdio", "--schema"], "say how to serve"),
        (["demo", "--tcp", "0.0.0.0:0"], "is not this machine"),
        (["demo", "--tcp", "many"], "is no port"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(folders, arguments, word):
    result = run_command("serve", *arguments)
    assert result.returncode == 2
    assert word in result.stderr


# ------------------------------------------------------------------ debugging


def test_a_debugger_stops_code_at_a_line_of_a_file_and_lets_it_go_on(client, tmp_path):
    file = tmp_path / "cell.py"
    code = "total = 0\nfor number in range(3):\n    total += number\n"
    file.write_text(code)
    debugger = client.ask("debug/open")["debugger"]

    def request(seq, command, **arguments):
        message = {"type": "request", "seq": seq, "command": command, "arguments": arguments}
        client.ask("debug/send", debugger=debugger, message=message)
        return told("response", command)

    def told(kind, name):
        return client.hear(
            "debug/message",
            lambda params: (
                params["message"]["type"] == kind and name in map(params["message"].get, ("command", "event"))
            ),
        )["message"]

    request(1, "initialize", adapterID="python")
    attach = {"type": "request", "seq": 2, "command": "attach", "arguments": {}}
    client.ask("debug/send", debugger=debugger, message=attach)
    told("event", "initialized")
    request(3, "setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": 3, "condition": "number == 2"}])
    request(4, "configurationDone")
    running = client.begin("code/run", code=code, file=str(file))
    thread = told("event", "stopped")["body"]["threadId"]
    frame = request(5, "stackTrace", threadId=thread)["body"]["stackFrames"][0]
    assert (frame["source"]["path"], frame["line"]) == (str(file), 3)
    assert client.fail("debug/open")["data"]["type"] == "RequestError"
    client.ask("debug/close", debugger=debugger)
    assert client.hear("debug/closed")["debugger"] == debugger
    assert client.end(running)["result"]["outcome"] == "ok"
    assert client.ask("kernel/inspect", code="total")["preview"] == "3"


def test_progress_is_told_of_requests_that_ask_for_it(client):
    first = client.begin("code/run", code="import time\nwhile 'go' not in globals(): time.sleep(0.01)")
    second = client.begin("code/run", code="1", progress_token="second")
    said = [client.hear("$/progress")["value"] for _ in range(2)]
    assert [each["kind"] for each in said] == ["begin", "report"]
    assert "is queued" in said[1]["message"]
    client.ask("kernel/set_variable", path="go", literal="1")
    assert [client.end(each)["result"]["outcome"] for each in (first, second)] == ["ok", "ok"]
    said = [client.hear("$/progress")["value"] for _ in range(2)]
    assert ([each["kind"] for each in said], "runs" in said[0]["message"]) == (["report", "end"], True)
