"""Waiting for answers of the journal."""

import threading

from rpyc_kernel.system.later import Later


def wait_for(answer, timeout_s):
    """What an answer says, or what there was to say at once."""
    if not isinstance(answer, Later):
        return answer
    told = threading.Event()
    answer.add_done_callback(lambda _: told.set())
    assert told.wait(timeout_s), "no answer came"
    return answer.result()
