import signal

import pytest
from plumbum import cli

from rpyc_kernel.cli import application
from rpyc_kernel.cli.application import Command, UsageError, kernel_there, named_again, parse_execution
from rpyc_kernel.cli.console import Console
from rpyc_kernel.cli.execute import Exec, Run
from rpyc_kernel.cli.introspection import Status
from rpyc_kernel.cli.jupyter import Install, ListSpecs, Uninstall
from rpyc_kernel.cli.lifecycle import Forget, List, Start, Stop
from rpyc_kernel.cli.past import Log
from rpyc_kernel.cli.people import Sessions
from rpyc_kernel.client import launch
from rpyc_kernel.client.connect_string import VARIABLE, remember
from rpyc_kernel.errors import AuthenticationFailed, ConnectionFailed


class Probe(Command):
    """Keeps what it was called with."""

    PROGNAME = "probe"
    NAMES_KERNEL = False
    WORDS_BEFORE_REST = 2
    called: tuple[object, ...] = ()

    flag = cli.Flag(["-f", "--flag"])
    value = cli.SwitchAttr("--value", str, default="")

    def main(self, *words: str) -> int:
        type(self).called = (words, self.flag, self.value)
        return 0


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["a", "b"], (("a", "b"), False, "")),
        (["a", "-"], (("a", "-"), False, "")),
        (["-", "--flag"], (("-",), True, "")),
        (["a", "-f", "b"], (("a", "b"), True, "")),
        (["--value", "v", "a"], (("a",), False, "v")),
        (["--value=v", "a"], (("a",), False, "v")),
        (["a", "b", "--flag", "-x"], (("a", "b", "--flag", "-x"), False, "")),
        (["--", "--flag", "b"], (("--flag", "b"), False, "")),
        (["a", "--", "-1"], (("a", "-1"), False, "")),
        (["a", "b", "--"], (("a", "b", "--"), False, "")),
    ],
)
def test_switches_are_told_from_words(arguments: list[str], called: tuple[object, ...]):
    Probe.run(["probe", *arguments], exit=False)
    assert Probe.called == called


def test_a_dash_for_a_name_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Probe, "NAMES_KERNEL", True)
    monkeypatch.setattr(application, "read_connect_string", lambda: "what may be shown")
    Probe.run(["probe", "-", "-"], exit=False)
    assert Probe.called == (("what may be shown", "-"), False, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], ("what may be shown",)), (["--flag"], ("what may be shown",)), (["demo"], ("demo",)), (["--", "x"], ("x",))],
)
def test_the_kernel_that_the_environment_names_holds_where_no_other_is_named(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: tuple[str, ...]
):
    monkeypatch.setattr(Probe, "NAMES_KERNEL", True)
    monkeypatch.setattr(application, "from_environment", lambda: "the whole")
    monkeypatch.setattr(application, "remember", lambda text: {"the whole": "what may be shown"}[text])
    Probe.run(["probe", *arguments], exit=False)
    assert Probe.called[0] == words


def test_commands_that_begin_something_on_this_machine_ask_no_environment():
    named = {Start, List, Forget, Run, Install, Uninstall, ListSpecs}
    assert {command for command in named if command.NAMES_KERNEL} == set()
    assert all(command.NAMES_KERNEL for command in (Console, Exec, Status, Log, Stop, Sessions))


@pytest.mark.parametrize("arguments", [["--nonsense"], ["a", "-x"], ["--value"], ["-f", "-f"]])
def test_a_wrong_switch_is_an_error_that_names_the_help(arguments: list[str]):
    with pytest.raises(UsageError, match="'probe --help' tells how to use it"):
        Probe.run(["probe", *arguments], exit=False)


def test_the_number_of_an_execution_is_one():
    assert parse_execution("12", "demo") == 12
    with pytest.raises(UsageError, match="'x' is not the number of an execution; 'rpyc-kernel status ssh://gpu/train'"):
        parse_execution("x", "ssh://gpu/train")


def test_a_kernel_on_another_machine_is_called_with_its_host():
    assert kernel_there("train", "demo") == "'train'"
    assert kernel_there("train", "ssh://ann@gpu/train") == "'train' on gpu"


@pytest.mark.parametrize("insists", [False, True])
def test_who_insists_comes_in_unannounced_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch, insists: bool):
    def connect(target: str, *, joins: bool, on_loss: object) -> str:
        if joins:
            raise ConnectionFailed("as many as it can")
        return target

    monkeypatch.setattr(application.launch, "connect", connect)
    probe = Probe("probe")
    if insists:
        assert probe.connect("demo", insists=True) == "demo"  # type: ignore[comparison-overlap]
    else:
        with pytest.raises(ConnectionFailed, match="as many"):
            probe.connect("demo")


def test_who_is_refused_for_another_reason_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def connect(target: str, *, joins: bool, on_loss: object) -> None:
        asked.append(joins)
        raise AuthenticationFailed("the hub refused the key")

    monkeypatch.setattr(application.launch, "connect", connect)
    with pytest.raises(AuthenticationFailed):
        Probe("probe").connect("demo", insists=True)
    assert asked == [True]


def test_a_loss_is_told_once_for_all_connections_of_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(application.launch, "connect", lambda target, **options: options["on_loss"])
    tell = application.Command.connect(object.__new__(application.Command), "demo")
    for words in ("the connection is lost", "the connection is lost", "", ""):
        tell(words)
    assert capsys.readouterr().err == "the connection is lost; Ctrl-C gives up\nconnected again\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, None), (signal.SIGTERM, 143)])
def test_whoever_ends_a_start_on_another_machine_is_told_that_the_kernel_may_be_there(
    monkeypatch, capsys, number, status
):
    monkeypatch.setattr(launch, "start", lambda *_, **__: signal.raise_signal(number))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as ended:
        Start.run(["start", "ssh://server/train"], exit=False)
    assert getattr(ended.value, "code", None) == status
    assert capsys.readouterr().err == "it may be running there; 'rpyc-kernel stop ssh://server/train' ends it\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_kernel_in_the_foreground_is_started_on_its_own_machine():
    with pytest.raises(UsageError, match=r"^ssh://server/train: a kernel in the foreground is started on its own"):
        Start.run(["start", "ssh://server/train", "--foreground"], exit=False)


def test_the_next_command_names_a_kernel_as_this_one_did_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch):
    secret = f"{'11' * 8}.{'22' * 32}.{'33' * 32}"
    shown = remember(f"rpyc+tls://gpu.example.org:4300/train#{secret}")
    assert named_again("ssh://gpu/train") == "ssh://gpu/train"
    assert named_again("rpyc+tls://other.example.org:4300/train") == "rpyc+tls://other.example.org:4300/train"
    assert named_again(shown) == "-"
    monkeypatch.setenv(VARIABLE, f"{shown}#{secret}")
    assert named_again(shown) == shown
