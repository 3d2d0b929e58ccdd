"""When expressions that are watched are looked at, and what of it is news."""

from rpyc_kernel.client.watching import Watching
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.core.introspection import Watched


def test_only_what_is_other_than_before_is_news() -> None:
    watching = Watching(["x"], 1.0)
    found = [watching.is_news([Watched("x", "int", preview)]) for preview in ("1", "1", "2", "2")]
    assert found == [True, False, True, False]


def test_executions_that_have_ended_and_another_worker_are_reasons_to_look_again_and_nothing_else_is() -> None:
    reasons = []
    for kind in (Kind.STARTED, Kind.STREAM, Kind.FINISHED, Kind.WORKER_STARTED):
        watching = Watching(["x"], 1.0)
        watching.is_news([])
        watching.take([Event(1, 0.0, kind, None, None, {})])
        reasons.append(watching.is_due)
    assert reasons == [False, False, True, True]
