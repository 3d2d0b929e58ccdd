from rpyc_kernel.cli.looking import pace
from rpyc_kernel.core.contract import Event


def _event(seq: int, time: float) -> Event:
    return Event(seq, time, "stream", 1, "session", {"name": "stdout", "text": str(seq)})


def test_a_recording_is_shown_with_its_pauses() -> None:
    shown: list[int | float] = []
    for event in pace([_event(1, 100.0), _event(2, 102.0), _event(3, 102.5)], 2.0, shown.append):
        shown.append(event.seq)
    assert shown == [1, 1.0, 2, 0.25, 3]


def test_a_clock_that_was_set_back_makes_no_pause() -> None:
    pauses: list[float] = []
    assert len(list(pace([_event(1, 100.0), _event(2, 90.0)], 1.0, pauses.append))) == 2
    assert pauses == [0.0]
