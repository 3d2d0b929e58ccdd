from rpyc_kernel.core.contract import Kind
from rpyc_kernel.faces.frontend.jobs import Jobs
from tests.faces.frontend.events import ALICE, ME, make_event, make_item, make_status


def test_a_job_is_there_from_its_submission_to_its_end():
    jobs = Jobs(ME)
    jobs.expect(4, "work()")
    assert jobs.find(4) is not None
    jobs.take(make_event(Kind.QUEUED, 4, code="work()"))
    jobs.take(make_event(Kind.STARTED, 4))
    assert [(job.number, job.code, job.started) for job in jobs.list()] == [(4, "work()", 0.0)]
    jobs.take(make_event(Kind.FINISHED, 4, outcome="ok"))
    assert jobs.find(4) is None


def test_a_job_is_held_until_it_is_approved():
    jobs = Jobs(ME)
    jobs.begin(make_status(queue=[{**make_item(3), "is_held": True}, make_item(4)]))
    jobs.take(make_event("queued", 5, code="x", name="me", is_held=True))
    assert [job.is_held for job in jobs.list()] == [True, False, True]
    jobs.take(make_event("approved", 3, by="alice"))
    assert [job.is_held for job in jobs.list()] == [False, False, True]


def test_others_executions_are_no_jobs():
    jobs = Jobs(ME)
    jobs.take(make_event(Kind.QUEUED, 4, ALICE, code="work()"))
    assert jobs.list() == []


def test_a_question_is_open_until_it_is_answered():
    jobs = Jobs(ME)
    jobs.expect(4, "input()")
    question = make_event(Kind.INPUT_REQUESTED, 4, token=7, prompt="?", password=False)
    jobs.take(question)
    jobs.take(make_event(Kind.INPUT_ANSWERED, 4, token=6))
    assert jobs.find(4).question is question
    jobs.take(make_event(Kind.INPUT_ANSWERED, 4, token=7))
    assert jobs.find(4).question is None


def test_what_was_unfinished_before_is_known_from_the_status():
    jobs = Jobs(ME)
    status = make_status(
        running=make_item(3), busy_since=90.0, queue=[make_item(5), make_item(6, ALICE)], side=[make_item(4)]
    )
    jobs.begin({**status, "prompts": [{"execution": 3, "session": ME}]})
    assert [(job.number, job.started) for job in jobs.list()] == [(3, 90.0), (4, 90.0), (5, None)]
    assert jobs.find(3).question is not None
    jobs.take(make_event(Kind.INPUT_ANSWERED, 3, token=1))
    assert jobs.find(3).question is None


def test_late_events_of_a_finished_job_bring_nothing_back():
    jobs = Jobs(ME)
    jobs.expect(4, "work()")
    jobs.take(make_event(Kind.FINISHED, 4, outcome="ok"))
    jobs.take(make_event(Kind.INPUT_REQUESTED, 4, token=1))
    assert jobs.list() == []
