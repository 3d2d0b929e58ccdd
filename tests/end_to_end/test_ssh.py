"""Kernels on other machines, by real OpenSSH: hosts with nothing on them but a Python, and ways there that break."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import AuthenticationFailed, ConnectionFailed, KernelClient, NoSuchKernel, RequestError
from rpyc_kernel.client import ssh, ssh_login
from rpyc_kernel.client.there import ArchiveThere
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import CTRL_D, OpenTerminal
from tests.support.sshd import Host, Hosts
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("folders")

WAIT = """
import os, threading
print("begun", flush=True)
while not os.path.exists({path!r}):
    threading.Event().wait(0.01)
print("done")
6 * 7
"""


def start(url: str, **settings) -> KernelClient:  # type: ignore[no-untyped-def]
    return rpyc_kernel.start(url, engine="plain", timeout=PATIENCE_S, **settings)


def begin_to_wait(kernel: KernelClient, path: Path) -> rpyc_kernel.Execution:
    """Have code run that ends when the file is there."""
    run = kernel.submit(WAIT.format(path=str(path)))
    next(event for event in run.events() if event.kind == "stream")
    return run


def test_a_kernel_lives_where_there_is_nothing_but_a_python(ssh_hosts: Hosts):
    host = ssh_hosts.alpha
    before = host.logins
    settings = {"cwd": "~", "env": {"HERE": "there"}, "python": host.home.parent / "bin" / "python3"}
    with start("ssh://alpha/train", **settings) as kernel:
        assert kernel.execute("import os; os.getcwd(), os.environ['HERE']").value == (str(host.home), "there")
        assert [found.name for found in rpyc_kernel.kernels("ssh://alpha/")] == ["train"]
        assert rpyc_kernel.kernels() == []
        kernel.push(data=bytes(range(256)) * 10_000)
        kernel.execute("copy = bytearray(data)")
        assert kernel.namespace["copy"][-1] == 255
        assert kernel.pull("copy") == bytes(range(256)) * 10_000
        assert not kernel._bulk._idle[0].can_share
    place = Path(ssh_login._places[0].path)
    ssh_login.log_out()
    wait_until(lambda: not host.connections, PATIENCE_S, "the end of the connection")
    assert not place.exists()
    with rpyc_kernel.connect("ssh://alpha/train", timeout=PATIENCE_S) as kernel:
        assert kernel.execute("len(copy)").value == 2_560_000
        with pytest.raises(
            NoSuchKernel, match=r"start it with 'rpyc-kernel start ssh://alpha/nobody'; there run train$"
        ):
            rpyc_kernel.connect("ssh://alpha/nobody")
        kernel.shutdown(timeout=PATIENCE_S)
    assert host.logins - before == 2
    left = {path.relative_to(host.home).parts[0] for path in host.home.rglob("*")} | {*os.listdir(host.scratch)}
    assert left <= {".profile", ".zprofile", ".cache", ".local"}


def end_hub(kernel: KernelClient) -> None:
    """Kill the hub, as where the system is short of memory; the worker goes on."""
    hub = kernel.status()["hub_pid"]
    os.kill(hub, signal.SIGKILL)
    wait_until(lambda: not processes.is_alive(hub), PATIENCE_S, "the end of the hub")


def log_out_for_good(host: Host) -> None:
    """As where the last login of a user ends, and with it the folder of what goes with a login."""
    host.drop()
    shutil.rmtree(host.session)
    host.session.mkdir(mode=0o700)


def kill_who_holds_it(host: Host) -> None:
    """End the process of this machine that holds the connection, so that it leaves its sockets behind."""
    [master] = host.masters
    os.kill(master, signal.SIGKILL)


@pytest.mark.parametrize("cut", [Host.drop, Host.freeze, log_out_for_good, kill_who_holds_it])
def test_what_runs_and_who_waits_for_it_outlive_the_way_there(ssh_hosts: Hosts, cut: Callable[[Host], None]):
    """What the user has set for dead connections holds, which for the test is short."""
    ssh_hosts.write_config("ServerAliveInterval 1\nServerAliveCountMax 1\n")
    file = ssh_hosts.alpha.scratch / "go on"
    with start("ssh://alpha/train") as kernel:
        run = begin_to_wait(kernel, file)
        cut(ssh_hosts.alpha)
        file.touch()
        assert run.result(timeout=PATIENCE_S) == 42
        assert run.stdout == "begun\ndone\n"
        assert kernel.execute("1", timeout=PATIENCE_S).status == "ok"
        assert len(ssh_hosts.alpha.masters) == 1
        kernel.shutdown(timeout=PATIENCE_S)


def test_hosts_are_listed_side_by_side_also_by_way_of_others_and_one_that_fails_hides_none(ssh_hosts: Hosts):
    with start("ssh://gamma/inner") as inner, start("ssh://alpha/outer") as outer:
        assert inner.eval("__import__('os').environ['HOME']") == str(ssh_hosts.beta.home)
        assert ssh_hosts.alpha.logins >= 2  # the way to the other one, and its own
        ssh_login.log_out()
        listed = run_command("list", "ssh://beta/", "ssh://refusing/", "ssh://alpha/", "--json")
        assert listed.returncode == 3
        answer = json.loads(listed.stdout)
        assert [entry["address"] for entry in answer] == ["ssh://beta/inner", "ssh://refusing/", "ssh://alpha/outer"]
        assert "Connection refused" in answer[1]["error"]
        assert listed.stderr.count("\n") == 1
        shown = run_command("list", "ssh://beta/", "ssh://alpha/")
        assert [line.split()[:2] for line in shown.stdout.splitlines()] == [
            ["ssh://beta/inner", "running"],
            ["ssh://alpha/outer", "running"],
        ]
        inner.shutdown(timeout=PATIENCE_S)
        outer.shutdown(timeout=PATIENCE_S)


def test_commands_take_its_address_for_its_name(ssh_hosts: Hosts):
    host = ssh_hosts.alpha
    started = run_command("start", "ssh://alpha/train", "--engine", "plain")
    assert started.returncode == 0, started.stderr
    assert "'rpyc-kernel console ssh://alpha/train'" in started.stdout
    before = host.logins
    typed = run_command("console", "ssh://alpha/train", "--python", "python3.9", "--cwd=/", input_text="6 * 7\n")
    unused = "rpyc-kernel: kernel 'ssh://alpha/train' runs already, so --python, --cwd were not used\n"
    assert unused in typed.stderr
    assert (typed.returncode, typed.stdout.splitlines()[-1]) == (0, "42")
    assert host.logins == before + 1
    again = run_command("start", "ssh://alpha/train")
    assert again.returncode == 2
    assert "as with 'rpyc-kernel console ssh://alpha/train', or stop it first with" in again.stderr
    assert "'rpyc-kernel stop ssh://alpha/train'" in again.stderr
    left = run_command(
        "exec", "ssh://alpha/train", "--detach", "--timeout", "0.1", "import threading; threading.Event().wait()"
    )
    assert left.stderr.endswith("; stop it with 'rpyc-kernel interrupt ssh://alpha/train 2'\n")
    assert run_command("submit", "ssh://alpha/train", "pass").stdout == "3\n"
    waits = run_command("interrupt", "ssh://alpha/train", "3")
    assert "'rpyc-kernel cancel ssh://alpha/train 3'" in waits.stderr
    stopped = run_command("stop", "ssh://alpha/train")
    assert (stopped.returncode, stopped.stdout) == (0, "kernel 'ssh://alpha/train' is stopped\n")
    past = run_command("history", "ssh://alpha/train", "6 *", "--json")
    assert [json.loads(line)["code"] for line in past.stdout.splitlines()] == ["6 * 7"]
    log = run_command("log", "ssh://alpha/train", "--tail", "1", "--json")
    assert json.loads(log.stdout)["kind"] == "hub_stopped"
    unsure = run_command("forget", "ssh://alpha/train")
    assert (unsure.returncode, "say so with --yes" in unsure.stderr) == (2, True)
    forgotten = run_command("forget", "ssh://alpha/train", "--yes")
    assert (forgotten.returncode, forgotten.stdout) == (0, "kernel 'ssh://alpha/train' is forgotten\n")
    again = run_command("forget", "ssh://alpha/train", "--yes")
    assert (again.returncode, "there is no kernel 'ssh://alpha/train' to forget" in again.stderr) == (3, True)


def test_what_a_kernel_has_done_can_be_read_while_its_hub_is_gone(ssh_hosts: Hosts):
    gate = ssh_hosts.alpha.scratch / "go on"
    with start("ssh://alpha/train", reconnect=0) as kernel:
        assert kernel.execute("print('done'); 6 * 7").status == "ok"
        begin_to_wait(kernel, gate)
        end_hub(kernel)
    for command, said in {
        "log": "done",
        "history": "6 * 7",
        "output 1": "done",
        "result 1": "42",
        "wait 1": "ok",
    }.items():
        name, *number = command.split()
        told = run_command(name, "ssh://alpha/train", *number)
        assert (told.returncode, told.stderr) == (0, "")
        assert said in told.stdout
    unfinished = run_command("wait", "ssh://alpha/train", "2")
    assert unfinished.returncode == 3
    assert unfinished.stderr.endswith("take it up again with 'rpyc-kernel start ssh://alpha/train'\n")
    assert run_command("stop", "ssh://alpha/train").returncode == 0


def test_a_large_value_comes_with_word_of_how_far_it_is(ssh_hosts: Hosts):
    size = 256 * 1024 * 1024
    heard: list[tuple[int, int]] = []
    with start("ssh://alpha/train") as kernel:
        kernel.execute(f"data = bytearray({size}); data[-1] = 7", timeout=PATIENCE_S)
        pulled = kernel.pull("data", timeout=PATIENCE_S, progress=lambda done, whole: heard.append((done, whole)))
        assert (len(pulled), pulled[-1]) == (size, 7)
        kernel.shutdown(timeout=PATIENCE_S)
    assert len(heard) > 10
    assert heard[-1][0] == heard[-1][1] >= size


@pytest.mark.parametrize(
    ("host", "kind", "said"),
    [
        ("nowhere", ConnectionFailed, "see whether the name is right"),
        ("refusing", ConnectionFailed, "no SSH server listens there"),
        ("locked", AuthenticationFailed, "do this at a terminal"),
        ("stranger", AuthenticationFailed, "Log in once by 'ssh stranger'"),
        ("changed", AuthenticationFailed, "HAS CHANGED!"),
    ],
)
def test_a_host_out_of_reach_is_told_at_once(ssh_hosts: Hosts, host: str, kind: type, said: str):
    with pytest.raises(kind, match=said) as raised:
        rpyc_kernel.connect(f"ssh://{host}/train")
    assert "\n" not in str(raised.value)


def test_a_client_that_is_to_be_quiet_says_all_the_same_why_nobody_gets_in(ssh_hosts: Hosts):
    ssh_hosts.write_config("LogLevel QUIET\n")
    for host, kind in {"refusing": ConnectionFailed, "locked": AuthenticationFailed}.items():
        with pytest.raises(kind, match=r"Connection refused|Permission denied"):
            rpyc_kernel.kernels(f"ssh://{host}/")


def test_a_server_that_forwards_nothing_is_told(ssh_hosts: Hosts):
    keys = ssh_hosts.config.parent / "key.pub"
    key = keys.read_text()
    keys.write_text(f"no-port-forwarding {key}")
    try:
        with pytest.raises(ConnectionFailed, match=r"which AllowStreamLocalForwarding in its sshd_config lets it do$"):
            start("ssh://alpha/train")
    finally:
        keys.write_text(key)


OLD = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = (3, 8, 1, "final", 0); del sys.argv[0]; exec(sys.argv[1])' "$@"
"""


def test_python_is_looked_for_there_and_what_was_tried_is_told(ssh_hosts: Hosts):
    host = ssh_hosts.alpha
    newer = host.add_program("python3.10", f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    host.add_program("python3", OLD.format(python=sys.executable))
    assert rpyc_kernel.kernels("ssh://alpha/") == []
    newer.unlink()
    with pytest.raises(RequestError, match=r"is Python 3\.8; a kernel needs 3\.10 or newer, and one of python3\.10 to"):
        rpyc_kernel.kernels("ssh://alpha/")
    host.use_python(None)
    with pytest.raises(RequestError, match=r"there is no python3 on the PATH of a login shell of ssh://alpha/, and"):
        rpyc_kernel.kernels("ssh://alpha/")
    with pytest.raises(RequestError, match=r"there is no '/nowhere/python' on ssh://alpha/$"):
        start("ssh://alpha/train", python="/nowhere/python")


def test_who_has_named_the_python_once_need_not_name_it_again(ssh_hosts: Hosts):
    host = ssh_hosts.alpha
    usual = host.home.parent / "bin" / "python3"
    named = usual.rename(usual.parent / "a python")
    try:
        start("ssh://alpha/train", python=named).close()
        assert run_command("exec", "ssh://alpha/train", "6 * 7").stdout == "42\n"
        note = host.home / ".cache" / "rpyc_kernel" / "bundles" / "python"
        assert (note.read_text(), note.stat().st_mode & 0o777) == (f"{named}\n", 0o600)
        stopped = run_command("stop", "ssh://alpha/train")
        assert (stopped.returncode, stopped.stderr) == (0, "")
    finally:
        named.unlink()
    with pytest.raises(RequestError, match=r"there is no python3 on the PATH of a login shell of ssh://alpha/, and"):
        rpyc_kernel.kernels("ssh://alpha/")


MUTE = {
    "exit 0": r"status 0\)$",
    "echo noise >&2; exit 3": r"status 3\): noise$",
    "kill -SEGV $$": r"status 255\)$",
}


def test_a_python_there_that_gives_no_answer_is_named_with_its_status_and_last_words(ssh_hosts: Hosts):
    ssh_hosts.alpha.write_profile("echo Welcome >&2")
    for script, said in MUTE.items():
        path = ssh_hosts.alpha.add_program("mute", f"#!/bin/sh\n{script}\n")
        with pytest.raises(rpyc_kernel.KernelError, match=rf"^ssh://alpha/: '{path}' there gave no answer \({said}"):
            start("ssh://alpha/train", python=path)


HERE = 'rpyc-kernel-bundle {"status": "here"}'
HOSTILE = [
    "rpyc-kernel-bundle {",
    "rpyc-kernel-bundle []",
    "rpyc-kernel-bundle {}",
    f"{HERE}\nrpyc-kernel-answer {{",
    f"{HERE}\nrpyc-kernel-answer {'[' * 100_000}",
    f"{HERE}\nrpyc-kernel-answer []",
    f"{HERE}\nrpyc-kernel-answer {{}}",
    f'{HERE}\nrpyc-kernel-answer {{"error": 1}}',
    f'{HERE}\nrpyc-kernel-answer {{"answer": 7}}',
    f'{HERE}\nrpyc-kernel-answer {{"answer": [7]}}',
    f'{HERE}\nrpyc-kernel-answer {{"answer": [{{"name": "train"}}]}}',
    f'{HERE}\nrpyc-kernel-answer {{"answer": {{"key": "key", "unix": 1}}}}',
]


def test_what_a_hostile_host_answers_breaks_nothing(ssh_hosts: Hosts):
    words = ssh_hosts.alpha.home / "words"
    ssh_hosts.alpha.add_program("python3", f"#!/bin/sh\n/bin/cat {words}\n")
    for said in HOSTILE:
        words.write_text(f"{said}\n")
        for ask in (rpyc_kernel.kernels, rpyc_kernel.connect, start):
            with pytest.raises(rpyc_kernel.KernelError, match="ssh://alpha/"):
                ask("ssh://alpha/")
    words.write_text(f"{HERE}\n7\n")
    for read in (ArchiveThere.events, ArchiveThere.history):
        archive = object.__new__(ArchiveThere)
        archive._target = ssh.parse_kernel("ssh://alpha/train")
        with pytest.raises(rpyc_kernel.KernelError, match="ssh://alpha/"):
            [*read(archive)]


def test_an_environment_there_has_to_have_what_one_here_has(ssh_hosts: Hosts, tmp_path: Path):
    (tmp_path / "rpyc").mkdir()
    (tmp_path / "rpyc" / "__init__.py").touch()
    (tmp_path / "rpyc-5.3.1.dist-info").mkdir()
    (tmp_path / "rpyc-5.3.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: rpyc\nVersion: 5.3.1\n")
    ssh_hosts.alpha.write_profile(f"export PYTHONPATH={tmp_path}")
    with pytest.raises(RequestError, match=r"has rpyc 5\.3\.1, with which no worker of this release can run; change"):
        start("ssh://alpha/train")
    assert not list(ssh_hosts.alpha.session.iterdir())


def test_what_cannot_be_brought_is_told(ssh_hosts: Hosts):
    ssh_hosts.alpha.write_profile("echo Welcome; export XDG_CACHE_HOME=/proc/nowhere")
    with pytest.raises(RequestError, match=r"^on ssh://alpha/: the bundle cannot be stored in /proc/nowhere/"):
        start("ssh://alpha/train")
    assert not list(ssh_hosts.alpha.session.iterdir())


def test_what_is_to_be_mended_on_the_host_is_told_with_its_address(ssh_hosts: Hosts):
    ssh_hosts.alpha.write_profile("export RPYC_KERNEL_STATE_DIR=/proc/nowhere")
    with pytest.raises(RequestError, match=r"^on ssh://alpha/: .*/proc/nowhere.*; set RPYC_KERNEL_STATE_DIR"):
        start("ssh://alpha/train")


def test_who_asks_finds_out_that_a_connection_is_dead(ssh_hosts: Hosts):
    ssh_hosts.write_config("ServerAliveInterval 1\nServerAliveCountMax 1\n")
    assert rpyc_kernel.kernels("ssh://alpha/") == []
    ssh_hosts.alpha.freeze()
    assert rpyc_kernel.kernels("ssh://alpha/") == []


def test_a_console_lets_openssh_ask_once_and_comes_back_without_a_question(
    ssh_hosts: Hosts, open_terminal: OpenTerminal
):
    host = ssh_hosts.alpha
    ssh_hosts.write_config("StrictHostKeyChecking ask\n")
    before = host.logins
    terminal = open_terminal("console", "ssh://stranger/train", "--as", "bob", "--engine", "plain")
    terminal.wait_for_sentence("Are you sure you want to continue connecting")
    terminal.type("yes\r")
    terminal.wait_for("^started kernel 'train' on stranger as bob;")
    terminal.wait_for_prompt()
    terminal.enter("6 * 7")
    terminal.wait_for("^42$")
    assert host.logins == before + 1
    host.drop()
    terminal.enter("43 + 1")
    terminal.wait_for("^44$")
    terminal.wait_for_prompt()
    assert host.logins == before + 2
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0
    terminal.wait_for_sentence("come back with 'rpyc-kernel console ssh://stranger/train'")


def test_a_console_whose_hub_is_gone_says_how_to_take_the_kernel_up_again(
    ssh_hosts: Hosts, open_terminal: OpenTerminal
):
    terminal = open_terminal("console", "ssh://alpha/train", "--engine", "plain")
    terminal.enter("x = 42")
    terminal.wait_for_prompt()
    with rpyc_kernel.connect("ssh://alpha/train", reconnect=0) as kernel:
        end_hub(kernel)
    terminal.wait_for_sentence("take it up again with 'rpyc-kernel start ssh://alpha/train'")
    assert "AllowStreamLocalForwarding" not in terminal.text
    assert run_command("start", "ssh://alpha/train").returncode == 0
    terminal.wait_for("^connected again")
    terminal.enter("x")
    terminal.wait_for("^42$")


@pytest.mark.parametrize("shared", ["", "ControlMaster auto\nControlPersist 60\nControlPath {}/%C\n"])
def test_what_a_user_runs_and_forwards_at_logins_is_left_alone(ssh_hosts: Hosts, shared: str):
    shared, forwarded = shared.format(ssh_hosts.config.parent), ssh_hosts.alpha.scratch / "forwarded"
    ssh_hosts.write_config(f"{shared}RemoteCommand false\nLocalForward {forwarded} [::1]:1\n")
    try:
        with start("ssh://alpha/train") as kernel:
            assert kernel.execute("6 * 7").value == 42
            assert not forwarded.exists()
            kernel.shutdown(timeout=PATIENCE_S)
    finally:
        leave = [*shlex.split(ssh_hosts.command), "-o", "RemoteCommand=none", "-O", "exit", "alpha"]
        subprocess.run(leave, stderr=subprocess.DEVNULL, check=False)


def test_a_login_that_the_user_shares_is_taken_and_left(ssh_hosts: Hosts, tmp_path: Path):
    ssh_hosts.write_config(f"ControlMaster auto\nControlPersist 60\nControlPath {ssh_hosts.config.parent}/%C\n")
    command = [*shlex.split(ssh_hosts.command), "alpha"]
    subprocess.run([*command, "true"], check=True, stderr=subprocess.DEVNULL)
    try:
        before = ssh_hosts.alpha.logins
        with start("ssh://alpha/train") as kernel:
            assert kernel.execute("6 * 7").value == 42
            kernel.shutdown(timeout=PATIENCE_S)
        ssh_login.log_out()
        assert ssh_hosts.alpha.logins == before
        assert subprocess.run([*command[:-1], "-O", "check", "alpha"], stderr=subprocess.DEVNULL).returncode == 0
    finally:
        subprocess.run([*command[:-1], "-O", "exit", "alpha"], stderr=subprocess.DEVNULL, check=False)


def test_a_client_that_is_killed_leaves_no_connection_and_no_folder(ssh_hosts: Hosts, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(ssh_hosts.config.parent))
    ask = "import rpyc_kernel, sys; rpyc_kernel.kernels('ssh://alpha/'); print('in', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", ask], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"in\n"
        assert list(ssh_hosts.config.parent.glob("rk-ssh-*"))
        client.kill()
    wait_until(lambda: not list(ssh_hosts.config.parent.glob("rk-ssh-*")), PATIENCE_S, "the end of the folder")
    wait_until(lambda: not ssh_hosts.alpha.connections, PATIENCE_S, "the end of the connection")
