"""Whoever logs goes on, whatever the disk does."""

import json
import logging
from unittest import mock

from rpyc_kernel.hub.log import BoundedLog


def test_a_log_without_room_is_no_error_for_who_logs_and_is_written_when_there_is(tmp_path):
    handler = BoundedLog(tmp_path / "hub.log")
    record = logging.LogRecord("hub", logging.ERROR, __file__, 1, "no room", (), None)
    full = OSError(28, "No space left on device")
    with mock.patch.object(logging, "raiseExceptions", False):
        stream = handler.stream
        handler.stream = mock.Mock(
            write=stream.write, flush=mock.Mock(side_effect=full), tell=mock.Mock(side_effect=full)
        )
        handler.emit(record)
        handler.stream = stream
        handler.emit(record)
    handler.close()
    assert (tmp_path / "hub.log").read_text().count("no room") == 2


def test_a_log_keeps_its_newest_lines_and_its_bound(tmp_path):
    handler = BoundedLog(tmp_path / "hub.log", max_bytes=10_000)
    log = logging.Logger("bounded")
    log.addHandler(handler)
    try:
        for number in range(2000):
            log.info("line %d of many \ud800", number)
            assert (tmp_path / "hub.log").stat().st_size <= 10_000 + 200
        lines = (tmp_path / "hub.log").read_text().splitlines()
        assert "line 1999 of many" in lines[-1]
        numbers = [int(line.partition("line ")[2].split()[0]) for line in lines]
        assert numbers == list(range(numbers[0], 2000))
        assert len(json.dumps(lines)) > 4000
    finally:
        handler.close()
