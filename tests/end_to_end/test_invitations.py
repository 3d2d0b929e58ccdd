"""A line that one person prints, and another pastes: in by TLS, seen by name, and out again."""

import json
import os
import subprocess

import pytest

import rpyc_kernel
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import COMMAND, ENTER, PATIENCE_S, ROOT


def paste(line, *arguments):
    """Run a command that reads a connect string from its standard input, on a machine with no kernels of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RPYC_KERNEL_STATE_DIR": "/nowhere/s"}
    return subprocess.run(
        [*COMMAND, *arguments], input=line, capture_output=True, text=True, timeout=PATIENCE_S, env=environment
    )


def test_a_friend_comes_in_by_the_line_that_invite_prints_and_goes_when_it_is_revoked(kernel):
    kernel.execute("x = 6 * 7", timeout=PATIENCE_S)
    refused = run_command("invite", "demo", "--role", "viewer")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "have it do so with --listen HOST" in refused.stderr
    invited = run_command(
        "invite", "demo", "--role", "viewer", "--name", "ann", "--listen", "127.0.0.1", "--host", "127.0.0.1"
    )
    assert (invited.returncode, invited.stderr, invited.stdout.count("\n")) == (0, "", 1)
    line = invited.stdout
    secret = line.partition("#")[2].split(".")[1]

    seen = paste(line, "status", "-", "--json")
    assert json.loads(seen.stdout)["kernel"] == "demo"
    for command, cannot in ((("vars", "-"), "list variables"), (("exec", "-", "x = 0"), "execute code")):
        told = paste(line, *command)
        assert told.returncode == 2
        assert f"it cannot {cannot}" in told.stderr
        assert secret not in told.stderr + told.stdout
    assert kernel.eval("x") == 42

    with pytest.raises(rpyc_kernel.NoSuchKernel, match="is called 'demo', and not 'other'"):
        rpyc_kernel.connect(line.strip().replace("/demo#", "/other#"))

    told = json.loads(run_command("status", "--json", RPYC_KERNEL_INVITATION=line).stdout)
    assert told["kernel"] == "demo"
    ran = run_command("console", input_text="x\n", RPYC_KERNEL_INVITATION=line)
    assert "it cannot execute code" in ran.stdout + ran.stderr
    assert [found.name for found in rpyc_kernel.kernels()] == ["demo"]  # and none was started

    with rpyc_kernel.connect(line.strip(), name="root", timeout=PATIENCE_S, reconnect=0) as ann:
        assert (ann.client_name, ann.role) == ("ann", "viewer")
        listed = run_command("sessions", "demo").stdout
        assert f"{ann.session}  ann" in listed
        assert "invited until" in listed
        assert secret not in listed
        assert run_command("revoke", "demo", "anne").stderr.endswith("(ann)?\n")
        assert run_command("revoke", "demo", "ann").returncode == 0
        assert ann.wait_until_closed(PATIENCE_S)
    gone = paste(line, "status", "-")
    assert (gone.returncode, gone.stdout) == (3, "")
    assert "this invitation of 'ann' was revoked on" in gone.stderr
    assert gone.stderr.endswith("; ask the owner for another one\n")


@pytest.fixture
def line(gated):
    """What lets bob's friend into 'demo'."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        kernel.listen("127.0.0.1", tls=True)
        yield kernel.invite("editor").connect_string()


def open_with(open_terminal, line):
    """Open a console by pasting a line."""
    console = open_terminal("console", "-", "--as", "bob", NO_COLOR="1")
    console.wait_for("^Connect string:$")
    console.type(f"{line}{ENTER}")
    console.wait_for_prompt()
    return console


def test_a_console_whose_standard_input_is_a_connect_string_and_no_more_says_so(line):
    told = paste(line, "console", "-")
    assert (told.returncode, told.stdout) == (2, "")
    assert "standard input ended behind the connect string" in told.stderr
    used = paste(f"{line}\n6 * 7\n", "console", "-")
    assert (used.returncode, used.stdout, used.stderr) == (0, "42\n", "")


def test_a_friend_of_the_owners_own_name_sits_at_a_terminal_until_it_is_sent_away_and_told_why(
    bob, line, open_terminal
):
    friend = open_with(open_terminal, line)
    bob.enter("x = 42")
    friend.enter("x")
    friend.wait_for("^42$")
    log = run_command("log", "demo").stdout
    assert "another key" not in log

    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        sessions = [each["id"] for each in kernel.sessions() if each["connections"]]
        (session,) = (each for each in sessions if each.endswith(":console-bob-1"))
        assert "console-bob-1" in sessions
        kernel.kick(session)
        assert friend.wait_for_end() == 3
        friend.wait_for_sentence("has ended this session; connect again in 10 seconds, or ask what is the matter")

        second = open_with(open_terminal, kernel.invite("editor").connect_string())
        for invitation in kernel.invitations():
            kernel.revoke(invitation.id)
        assert second.wait_for_end() == 3
        second.wait_for_sentence("; ask the owner for another one")
    for console in (friend, second):
        assert "trying again" not in console.text
        assert "back" not in console.text
