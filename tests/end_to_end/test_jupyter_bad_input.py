"""What anybody can send to a bridge, and where it cannot even begin: logged, answered if it can be, and survived."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from jupyter_client.session import Session

import rpyc_kernel
from tests.end_to_end.notebooks import (
    PATIENCE_S,
    Notebook,
    Open,
    join_kernel,
    take_output,
    take_reply,
    take_until,
    text_of,
    write_connection,
)
from tests.support.folders import Folders
from tests.support.waiting import wait_until


@contextmanager
def _raw_socket(notebook: Notebook, channel: str = "shell") -> Iterator[zmq.Socket[Any]]:
    info = notebook.manager.get_connection_info()
    context = zmq.Context()
    opened = context.socket(zmq.DEALER)
    opened.linger = 1000
    opened.connect(f"tcp://{info['ip']}:{info[f'{channel}_port']}")
    try:
        yield opened
    finally:
        opened.close()
        context.term()


def _assert_works(notebook: Notebook) -> None:
    assert take_reply(notebook.client, notebook.client.execute("1"))["content"]["status"] == "ok"


def _serialize(session: Session, kind: str, content: dict[str, Any]) -> list[Any]:
    return session.serialize(session.msg(kind, content))


@pytest.mark.parametrize("channel", ["shell", "control", "stdin"])
def test_what_is_no_message_is_dropped(open_notebook: Open, channel: str) -> None:
    notebook = open_notebook()
    session = notebook.client.session
    good = _serialize(session, "kernel_info_request", {})
    with _raw_socket(notebook, channel) as raw:
        raw.send(b"")
        raw.send_multipart([b"no", b"delimiter", b"here"])
        raw.send_multipart([b"<IDS|MSG>"])
        raw.send_multipart([good[0], b"0" * 64, *good[2:]])  # wrong signature
        for broken in (b"{", b"\xff", b"[]", b"null", b'{"msg_type": 1}'):
            parts = [broken, b"{}", b"{}", b"{}"]
            raw.send_multipart([b"<IDS|MSG>", session.sign(parts), *parts])
        _assert_works(notebook)


def test_a_replayed_message_is_not_carried_out_again(open_notebook: Open) -> None:
    notebook = open_notebook()
    message = _serialize(
        notebook.client.session, "execute_request", {"code": "count = globals().get('count', 0) + 1", "silent": False}
    )
    with _raw_socket(notebook) as raw:
        for _ in range(3):
            raw.send_multipart(message)
        assert raw.poll(PATIENCE_S * 1000)
        _assert_works(notebook)
    assert text_of(take_output(notebook.client, notebook.client.execute("print(count)"))) == "1\n"


def test_a_request_of_unknown_type_is_dropped(open_notebook: Open) -> None:
    notebook = open_notebook()
    notebook.client.shell_channel.send(notebook.client.session.msg("nonsense_request", {}))
    _assert_works(notebook)


_WRONG: list[tuple[str, dict[str, Any]]] = [
    ("execute_request", {}),
    ("execute_request", {"code": 1}),
    ("execute_request", {"code": "1", "user_expressions": 5, "stop_on_error": "no", "allow_stdin": []}),
    ("complete_request", {}),
    ("complete_request", {"code": "a", "cursor_pos": "x"}),
    ("complete_request", {"code": "a", "cursor_pos": 10**9}),
    ("inspect_request", {"code": None}),
    ("is_complete_request", {}),
    ("history_request", {"hist_access_type": "sideways"}),
    ("history_request", {"hist_access_type": "range", "session": "x", "start": "y"}),
    ("history_request", {"hist_access_type": "search", "pattern": "[", "n": -1}),
    ("delete_subshell_request", {}),
    ("delete_subshell_request", {"subshell_id": "none"}),
    ("debug_request", {}),
]


def test_requests_with_wrong_fields_are_answered(open_notebook: Open) -> None:
    notebook = open_notebook()
    for kind, content in _WRONG:
        message = notebook.client.session.msg(kind, content)
        notebook.client.shell_channel.send(message)
        answer = take_reply(notebook.client, message["header"]["msg_id"])
        assert answer["msg_type"] == kind.replace("_request", "_reply")
        take_until(notebook.client, "status", message["header"]["msg_id"], execution_state="idle")
    _assert_works(notebook)


def test_text_that_no_encoding_can_carry_is_shown_all_the_same(open_notebook: Open) -> None:
    notebook = open_notebook()
    code = "display({'application/json': {'a': chr(0xd800)}, 'text/plain': chr(0xd800)}, raw=True); chr(0xd800)"
    shown = take_output(notebook.client, notebook.client.execute(code))
    assert "display_data" in [message["msg_type"] for message in shown]
    _assert_works(notebook)


def test_comm_messages_to_nobody_are_taken(open_notebook: Open) -> None:
    notebook = open_notebook()
    for kind, content in (
        ("comm_open", {"comm_id": "a", "target_name": "nobody", "data": {}}),
        ("comm_msg", {"comm_id": "none", "data": {}}),
        ("comm_msg", {}),
        ("comm_close", {"comm_id": []}),
    ):
        message = notebook.client.session.msg(kind, content)
        notebook.client.shell_channel.send(message)
        take_until(notebook.client, "status", message["header"]["msg_id"], execution_state="idle")
    _assert_works(notebook)


def test_a_flood_is_answered_to_the_last(open_notebook: Open) -> None:
    notebook = open_notebook()
    with _raw_socket(notebook) as raw:
        for _ in range(3000):
            raw.send_multipart(_serialize(notebook.client.session, "connect_request", {}))
        _assert_works(notebook)
        for _ in range(3000):
            assert raw.poll(PATIENCE_S * 1000)
            raw.recv_multipart()


def test_a_client_that_vanishes_is_missed_by_nobody(open_notebook: Open) -> None:
    notebook = open_notebook()
    vanishing = notebook.connect()
    with join_kernel() as kernel:
        vanishing.execute("print('on'); gate.wait(); print('x' * 100_000)")
        take_until(notebook.client, "stream")
        notebook.leave(vanishing)
        kernel.eval("gate.set()")
    _assert_works(notebook)


def test_the_connection_file_may_go_while_the_bridge_runs(open_notebook: Open) -> None:
    notebook = open_notebook()
    Path(notebook.manager.connection_file).unlink()
    _assert_works(notebook)


def _run_bridge(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rpyc_kernel.faces.jupyter", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"shell_port": "x"}', '{"transport": "carrier pigeon"}'])
def test_a_connection_file_that_is_none_is_one_line(folders: Folders, tmp_path: Path, content: str) -> None:
    file = tmp_path / "kernel.json"
    file.write_text(content)
    ended = _run_bridge("-f", str(file))
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert str(file) in ended.stderr


def test_a_connection_file_that_is_gone_is_one_line(folders: Folders, tmp_path: Path) -> None:
    ended = _run_bridge("-f", str(tmp_path / "gone.json"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "gone.json" in ended.stderr


def test_a_kernel_to_join_that_is_not_there_is_one_line(folders: Folders, tmp_path: Path) -> None:
    file, _ = write_connection(tmp_path)
    ended = _run_bridge("-f", file, "--attach", "nowhere")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert "nowhere" in ended.stderr


def test_arguments_that_are_for_another_kernel_are_passed_over(folders: Folders, tmp_path: Path) -> None:
    ended = _run_bridge("-f", str(tmp_path / "gone.json"), "--HistoryManager.hist_file=:memory:", "--at", "h.py")
    assert ended.returncode == 1
    passed_over, gone = ended.stderr.splitlines()
    assert passed_over.endswith("passed over: --at h.py")
    assert "gone.json" in gone


def test_a_port_in_use_is_one_line_and_leaves_no_kernel(folders: Folders, tmp_path: Path) -> None:
    file, info = write_connection(tmp_path)
    with socket.create_server(("127.0.0.1", int(info["control_port"]))):
        ended = _run_bridge("-f", file)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert str(info["control_port"]) in ended.stderr
    wait_until(lambda: not [*folders.runtime.glob("jupyter-*")], what="the end of the kernel that was being started")


def test_it_listens_on_unix_sockets(open_notebook: Open, folders: Folders) -> None:
    notebook = open_notebook(transport="ipc", ip=str(folders.runtime / "j"))
    assert text_of(take_output(notebook.client, notebook.client.execute("print(1)"))) == "1\n"


def test_it_encrypts_where_it_is_given_keys(open_notebook: Open) -> None:
    notebook = open_notebook(transport_encryption="required")
    assert text_of(take_output(notebook.client, notebook.client.execute("print(1)"))) == "1\n"
    info = notebook.manager.get_connection_info()
    assert info["curve_secretkey"]
    with _raw_socket(notebook) as plain:
        plain.send_multipart(_serialize(notebook.client.session, "kernel_info_request", {}))
        assert not plain.poll(300)


def test_it_leaves_with_the_process_that_started_it(folders: Folders, tmp_path: Path) -> None:
    file, _ = write_connection(tmp_path)
    program = (
        "import os, subprocess, sys\n"
        "env = {**os.environ, 'JPY_PARENT_PID': str(os.getpid())}\n"
        "child = subprocess.Popen([sys.executable, '-m', 'rpyc_kernel.faces.jupyter', '-f', sys.argv[1]], env=env)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_until(lambda: rpyc_kernel.kernels(), PATIENCE_S, "the kernel")
    parent.stdin.close()
    parent.wait(PATIENCE_S)
    parent.stdout.close()
    wait_until(lambda: not rpyc_kernel.kernels(), PATIENCE_S, "the end of the kernel")
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), PATIENCE_S, "the end of the bridge")


def test_the_installed_spec_is_what_jupyter_reads(open_notebook: Open, tmp_path: Path) -> None:
    spec = json.loads((tmp_path / "data" / "kernels" / "rpyc_kernel" / "kernel.json").read_text())
    assert spec["argv"][1:] == ["-m", "rpyc_kernel.faces.jupyter", "-f", "{connection_file}"]
    assert spec["interrupt_mode"] == "message"
