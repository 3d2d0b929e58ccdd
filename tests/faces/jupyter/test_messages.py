"""Messages as frames: compatible with Jupyter's own, and with everything that is none refused."""

import subprocess
import sys
from typing import Any

import pytest
from jupyter_client.session import Session

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.messages import Messages

_KEY = b"secret"


def _session(key: bytes = _KEY) -> Session:
    return Session(key=key, username="Ann")


def _frames(session: Session, **content: Any) -> list[bytes]:
    frames: list[bytes] = session.serialize(session.msg("execute_request", content), ident=[b"a", b"b"])
    return frames


def test_what_jupyter_writes_is_read() -> None:
    session = _session()
    read = Messages(_KEY, "hmac-sha256").read("shell", [*_frames(session, code="1"), b"raw"])
    assert (read.identity, read.content, read.buffers) == ([b"a", b"b"], {"code": "1"}, [b"raw"])
    assert (read.header["msg_type"], read.header["username"]) == ("execute_request", "Ann")
    assert isinstance(read.header["date"], str)


def test_what_is_written_jupyter_reads() -> None:
    written = Messages(_KEY, "hmac-sha256").write("stream", {"text": "ä"}, {"msg_id": "p"}, {"m": 1})
    _, frames = _session().feed_identities(written)
    message = _session().deserialize(frames)
    assert (message["msg_type"], message["content"], message["metadata"]) == ("stream", {"text": "ä"}, {"m": 1})
    assert message["parent_header"]["msg_id"] == "p"
    assert message["header"]["version"] == "5.5"
    assert written[-1] == '{"text":"ä"}'.encode()  # no longer than it need be


def test_a_header_is_as_jupyters_own() -> None:
    session, messages = _session(), Messages(_KEY, "hmac-sha256")
    mine, next_one = (_session().deserialize(messages.write(kind, {})[1:])["header"] for kind in ("stream", 'q"\\'))
    theirs = session.deserialize(session.serialize(session.msg("stream"))[1:], content=False)["header"]
    assert {name: type(value) for name, value in mine.items()} == {name: type(value) for name, value in theirs.items()}
    assert mine["msg_id"] != next_one["msg_id"]
    assert mine["session"] == next_one["session"]
    assert next_one["msg_type"] == 'q"\\'


def test_what_follows_from_several_messages_in_turn_names_each() -> None:
    messages, session = Messages(_KEY, "hmac-sha256"), _session()
    parents: list[Any] = [{"msg_id": "a"}, {"msg_id": "b"}, None]
    for parent in (*parents, *parents, parents[2], parents[0], dict(parents[0])):
        assert session.deserialize(messages.write("stream", {}, parent)[1:])["parent_header"] == (parent or {})


def test_a_message_is_read_once() -> None:
    messages, frames = Messages(_KEY, "hmac-sha256"), _frames(_session())
    messages.read("shell", frames)
    with pytest.raises(ValueError, match="before"):
        messages.read("shell", frames)


def test_a_message_under_another_key_is_refused_and_leaves_nothing() -> None:
    messages = Messages(_KEY, "hmac-sha256")
    with pytest.raises(ValueError, match="signature"):
        messages.read("shell", _frames(_session(b"other")))
    assert not messages._seen


def test_without_a_key_nothing_is_signed() -> None:
    messages = Messages(b"", "hmac-sha256")
    assert messages.write("stream", {})[1] == b""
    frames = _frames(_session(b""), code="1")
    assert messages.read("shell", frames).content == messages.read("shell", frames).content == {"code": "1"}


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"<IDS|MSG>"],
        [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b"{", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b"\xff", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b"[]", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b'{"msg_id": "a", "session": "s", "msg_type": 1}', b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b'{"msg_id": "a", "session": "s", "msg_type": "t"}', b"{}", b"{}", b"[]"],
    ],
)
def test_what_is_no_message_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(ValueError):
        Messages(b"", "hmac-sha256").read("shell", frames)


@pytest.mark.parametrize(
    ("value", "carried"), [(float("nan"), "nan"), ([{"a": float("inf")}], [{"a": "inf"}]), ("\ud800", "\ud800")]
)
def test_what_no_json_can_carry_is_carried_as_text(value: Any, carried: Any) -> None:
    frames = Messages(b"", "hmac-sha256").write("stream", {"value": value})
    assert Messages(b"", "hmac-sha256").read("shell", [*frames]).content["value"] == carried


@pytest.mark.parametrize("scheme", ["sha256", "hmac-nothing", ""])
def test_a_scheme_that_there_is_not_is_named(scheme: str) -> None:
    with pytest.raises(RequestError, match="hmac-sha256"):
        Messages(_KEY, scheme)


def test_a_bridge_loads_no_more_than_it_needs() -> None:
    program = (
        "import sys, rpyc_kernel.faces.jupyter.__main__, rpyc_kernel.faces.jupyter.bridge\n"
        "print({'jupyter_client', 'traitlets', 'tornado', 'asyncio', 'psutil', 'IPython'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


def test_a_bridge_has_its_hub_started_before_it_loads_what_the_hub_loads_too() -> None:
    program = (
        "import sys, rpyc_kernel.faces.jupyter.__main__\nprint({'rpyc', 'rpyc_kernel.client.kernel'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"
