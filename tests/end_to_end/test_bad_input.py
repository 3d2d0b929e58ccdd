"""Whatever a caller gets wrong is answered by a clear error, and the kernel goes on."""

import socket

import pytest

import rpyc_kernel
from rpyc_kernel import (
    BadCode,
    BadName,
    ConnectionFailed,
    ExecutionError,
    KernelClient,
    NoSuchExecution,
    NoSuchKernel,
    NotAsked,
    NotQueued,
    RequestError,
)
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.health import DEADLINE_S, goes_on  # noqa: F401 - a fixture

pytestmark = [pytest.mark.shares_kernel, pytest.mark.usefixtures("goes_on")]


# Source


def raised_by(kernel: KernelClient, code: str) -> ExecutionError:
    with pytest.raises(ExecutionError) as caught:
        kernel.execute(code, timeout=DEADLINE_S)
    return caught.value


SYNTAX_ERRORS = ["x ===", "def f(:", "'unfinished", "if True:", "lambda: return", "return 1", "a b", "(", "\\"]


@pytest.mark.parametrize("code", SYNTAX_ERRORS)
def test_a_syntax_error_is_an_error_of_the_code(kernel, code):
    error = raised_by(kernel, code)
    assert error.ename in ("SyntaxError", "IndentationError")
    assert "rpyc_kernel" not in error.traceback
    assert code.strip() in error.traceback


def test_a_null_character_in_the_source_is_an_error_of_the_code(kernel):
    error = raised_by(kernel, "x = 1\x00")
    assert error.ename in ("SyntaxError", "ValueError")
    assert "null" in error.evalue
    assert kernel.is_complete("x = 1\x00", timeout=DEADLINE_S).status == "invalid"


def test_source_of_10_mb_is_refused_before_it_is_queued(kernel):
    last = kernel.status()["last_execution"]
    with pytest.raises(BadCode, match="the code is 10,000,000 characters long and the limit is"):
        kernel.execute("#" * 10_000_000)
    assert kernel.status()["last_execution"] == last


def test_source_up_to_the_limit_runs(kernel):
    code = "x = '" + "é" * (4 * 1024 * 1024 - 20) + "'; len(x)"
    assert kernel.execute(code, timeout=DEADLINE_S).value == 4 * 1024 * 1024 - 20


@pytest.mark.parametrize("code", ["x = '\ud800'", "\udcff", "# \udc80"])
def test_a_lone_surrogate_in_the_source_is_refused_with_its_place(kernel, code):
    place = next(index for index, char in enumerate(code) if "\ud800" <= char <= "\udfff")
    for run in (kernel.execute, kernel.submit):
        with pytest.raises(BadCode, match=f"lone surrogate at character {place}"):
            run(code)


@pytest.mark.parametrize("ask", ["complete", "inspect", "is_complete", "answer_input", "history"])
def test_a_lone_surrogate_anywhere_else_is_refused_too(kernel, ask):
    with pytest.raises(RequestError, match="surrogate"):
        getattr(kernel, ask)("x\ud800")


def test_deeply_nested_source_is_an_error_of_the_code(kernel):
    error = raised_by(kernel, "(" * 5000 + ")" * 5000)
    assert error.ename in ("SyntaxError", "MemoryError", "RecursionError")


# Names and numbers


@pytest.mark.parametrize("name", ["nobody", "Demo", "demo2"])
def test_an_unknown_kernel_is_not_found_and_how_to_start_it_is_said(kernel, name):
    with pytest.raises(NoSuchKernel, match=f"kernel '{name}' is not running; start it with 'rpyc-kernel start {name}'"):
        rpyc_kernel.connect(name)


BAD_NAMES = [
    "",
    ".",
    "..",
    "../demo",
    "demo/",
    "/demo",
    "a/b",
    "-x",
    ".hidden",
    "with space",
    "x" * 65,
    "größe",
    "a\nb",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_cannot_be_one_starts_nothing(kernel, folders, name):
    with pytest.raises(BadName, match=r"cannot name a kernel; use .* letters, digits"):
        rpyc_kernel.start(name)
    assert [path.name for path in folders.runtime.iterdir()] == ["demo"]


@pytest.mark.parametrize("target", ["a/b", "/no/such/file.json", "missing.json"])
def test_what_looks_like_a_path_is_missed_as_a_connection_file(kernel, target):
    with pytest.raises(NoSuchKernel, match=f"there is no connection file {target}"):
        rpyc_kernel.connect(target)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "{}", '{"name": 1}', "\x00\xff"])
def test_a_file_that_is_no_connection_file_says_so(kernel, tmp_path, content):
    path = tmp_path / "kernel.json"
    path.write_text(content)
    with pytest.raises(NoSuchKernel, match="is not a kernel's connection file"):
        rpyc_kernel.connect(path)


BAD_ADDRESSES = [
    "tcp://",
    "tcp://localhost",
    "tcp://localhost:port",
    "tcp://localhost:99999",
    "unix://",
    "http://localhost:80",
    "://",
]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_that_cannot_be_understood_says_what_would_be(kernel, address):
    with pytest.raises(RequestError, match=r"tcp://host:port|cannot be understood"):
        rpyc_kernel.connect(address, key="00" * 32)


def test_an_address_without_or_with_an_unreadable_key_says_where_the_key_is(kernel, monkeypatch):
    monkeypatch.delenv("RPYC_KERNEL_KEY", raising=False)
    with pytest.raises(RequestError, match="needs the kernel's key; set RPYC_KERNEL_KEY"):
        rpyc_kernel.connect("tcp://127.0.0.1:1")
    with pytest.raises(RequestError, match="cannot be understood"):
        rpyc_kernel.connect("tcp://127.0.0.1:1", key="no hexadecimal digits")


def test_an_address_where_nobody_listens_cannot_be_connected(kernel):
    with socket.socket() as taken:  # bound, so that nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConnectionFailed, match=f"cannot connect to tcp://127.0.0.1:{port}"):
            rpyc_kernel.connect(f"tcp://127.0.0.1:{port}", key="00" * 32)


@pytest.mark.parametrize("number", [0, -1, "the next", 10**6, 2**70])
def test_a_number_never_given_out_is_no_execution(kernel, number):
    last = kernel.execute("'the last'").id
    number = last + 1 if number == "the next" else number
    for act in (kernel.cancel, kernel.interrupt):
        with pytest.raises(NoSuchExecution, match=f"there is no execution {number}; the last one is {last}"):
            act(number)


def test_what_has_finished_can_be_neither_cancelled_nor_interrupted(kernel):
    execution = kernel.execute("'over'")
    with pytest.raises(NotQueued, match=f"execution {execution.id} has finished already; there is nothing to cancel"):
        kernel.cancel(execution.id)
    assert execution.cancel() is False
    assert kernel.interrupt(execution.id).status == "not-running"
    assert kernel.interrupt().status == "not-running"


def test_a_prompt_that_is_not_asked_takes_no_answer(kernel):
    execution = kernel.execute("'no question'")
    with pytest.raises(NotAsked, match="nothing waits for input"):
        kernel.answer_input("an answer")
    with pytest.raises(NotAsked, match=f"execution {execution.id} does not wait for input"):
        kernel.answer_input("an answer", execution.id)
    with pytest.raises(NotAsked, match="execution 99999 does not wait for input"):
        kernel.answer_input(None, 99999)


BAD_ARGUMENTS = {
    "an unknown lane": (lambda kernel: kernel.submit("1", lane="fast"), "unknown lane 'fast'; choose 'main' or 'side'"),
    "an unknown force": (lambda kernel: kernel.interrupt(1, force="gentle"), "unknown force 'gentle'; choose"),
    "code that is no text": (lambda kernel: kernel.submit(b"1"), "code must be str, not bytes"),
    "a number that is text": (lambda kernel: kernel.cancel("1"), "execution must be int, not str"),
    "an answer that is no text": (lambda kernel: kernel.answer_input(1), "text must be str, not int"),
    "an object": (lambda kernel: kernel.cancel(object()), "execution must be int, not object"),
}


@pytest.mark.parametrize(("call", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS)
def test_a_wrong_argument_is_named(kernel, call, message):
    with pytest.raises(RequestError, match=message):
        call(kernel)


@pytest.mark.parametrize("cursor", [-1, 10**9, 2**70, -(2**70)])
def test_a_cursor_that_never_was_harms_nobody(kernel, cursor):
    kernel.execute("'something to read'")
    for event in kernel.events(since=cursor, follow=False):
        assert event.seq > 0


@pytest.mark.parametrize(
    "code",
    [
        "e = ValueError('much'); e.__notes__ = ['n' * 10**6] * 90; raise e",
        "display({'text/plain': 'x'}, raw=True, metadata={'a': 'm' * 70_000_000})",
    ],
    ids=["notes", "metadata"],
)
def test_an_event_that_is_too_large_to_travel_is_cut_and_readers_go_on(kernel, code):
    execution = kernel.submit(code)
    execution.exception(DEADLINE_S)
    kinds = [event.kind for event in kernel.events(since=0, follow=False) if event.execution == execution.id]
    assert kinds[-1] == Kind.FINISHED
    assert kernel.submit("6 * 7").result(DEADLINE_S) == 42
