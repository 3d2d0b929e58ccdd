"""The stacks of many kernels, folded: who does the same stands together, and nobody is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.groups.stacks import Frame, fold

_KERNEL = "/opt/venv/lib/python3.11/site-packages/rpyc_kernel"
_PYTHON = "/usr/lib/python3.11"
_BOOTSTRAP = [(f"{_PYTHON}/threading.py", 1002, "_bootstrap"), (f"{_PYTHON}/threading.py", 1045, "_bootstrap_inner")]
_ATTRIBUTED = (f"{_KERNEL}/worker/capture.py", 251, "run_attributed")
_RUN = (f"{_PYTHON}/threading.py", 982, "run")
_RUNPY = [("<frozen runpy>", 198, "_run_module_as_main"), ("<frozen runpy>", 88, "_run_code")]
_WORKER = [
    *_RUNPY,
    (f"{_KERNEL}/worker/__main__.py", 206, "<module>"),
    (f"{_KERNEL}/worker/main_loop.py", 86, "run"),
    (f"{_PYTHON}/asyncio/base_events.py", 607, "run_forever"),
    (f"{_PYTHON}/asyncio/events.py", 80, "_run"),
    (f"{_KERNEL}/worker/engines/ipython.py", 176, "_run_cell"),
    ("/opt/venv/lib/python3.11/site-packages/IPython/core/interactiveshell.py", 3823, "run_code"),
]
_IDLE = [*_WORKER[:5], (f"{_KERNEL}/worker/gui_loops.py", 161, "select"), (f"{_PYTHON}/selectors.py", 468, "select")]
_CONTROL = [
    *_BOOTSTRAP,
    (f"{_KERNEL}/system/threads.py", 34, "run"),
    _RUN,
    (f"{_KERNEL}/worker/control.py", 188, "_serve"),
]
_addresses = iter(range(0x7F0000000000, 0x7FFFFFFFFFFF, 0x1000))


def dump(*threads, header="Thread 0x{:016x} (most recent call first):"):
    """As the fault handler writes it: the main thread last, the innermost call first."""
    return "\n".join(
        "\n".join(
            [
                header.format(next(_addresses)),
                *(f'  File "{file}", line {line} in {name}' for file, line, name in reversed(thread)),
                "",
            ]
        )
        for thread in threads
    )


def rank(*frames):
    return dump(_CONTROL, [("/home/me/train.py", 40, "<module>"), ("/home/me/train.py", 33, "main"), *frames])


def test_one_rank_that_hangs_elsewhere_stands_beside_those_that_wait_for_it():
    waiting = [("/home/me/train.py", 21, "step"), ("/x/site-packages/torch/distributed.py", 2501, "all_reduce")]
    stacks = {f"train-{number}": rank(*waiting) for number in range(64)}
    stacks["train-31"] = rank(("/home/me/data.py", 12, "load_batch"))
    folded = fold(stacks)
    assert str(folded).splitlines() == [
        "64: train-{0..63}",
        "  <module> (train.py:40)",
        "  main (train.py:33)",
        "  ├─ 63: train-{0..30} train-{32..63}",
        "  │    step (train.py:21)",
        "  │    all_reduce (distributed.py:2501)",
        "  └─ 1: train-31",
        "       load_batch (data.py:12)",
    ]
    assert [len(stack.names) for stack in folded.main] == [63, 1]
    assert folded.main[1].names == ("train-31",)
    assert folded.main[1].frames[-1] == Frame("load_batch", "/home/me/data.py", 12)
    assert folded.threads == ()


def test_two_lines_of_one_function_are_not_the_same():
    folded = fold({"a": rank(("/t.py", 20, "step")), "b": rank(("/t.py", 31, "step"))})
    assert [stack.names for stack in folded.main] == [("a",), ("b",)]


def test_where_python_is_installed_does_not_count():
    def at(folder):
        return dump(
            [("/t.py", 1, "f"), (f"{folder}/queue.py", 171, "get"), (f"{folder}/site-packages/np/x.py", 2, "g")]
        )

    (stack,) = fold({"a": at("/usr/lib/python3.11"), "b": at("/opt/conda/lib/python3.11")}).main
    assert stack.names == ("a", "b")
    assert [frame.file for frame in stack.frames] == ["/t.py", "queue.py", "np/x.py"]


def test_what_was_run_in_all_is_the_same_however_many_inputs_each_had_before():
    folded = fold({name: dump([*_WORKER, (f"<In {number}>", 1, "<module>")]) for name, number in [("a", 3), ("b", 7)]})
    assert [(each.names, each.frames) for each in folded.main] == [(("a", "b"), (Frame("<module>", "<In>", 1),))]


def test_the_kernels_own_frames_and_threads_are_left_out():
    cell = [("<In 2>", 5, "<module>"), ("<In 2>", 3, "ask")]
    prompts = (f"{_KERNEL}/worker/prompts.py", 175, "ask_for_line")
    folded = fold({"a": dump(_CONTROL, [*_WORKER, *cell, prompts, (f"{_KERNEL}/worker/hub_calls.py", 1, "wait")])})
    assert [frame.function for frame in folded.main[0].frames] == ["<module>", "ask", "ask_for_line"]
    assert folded.threads == ()


def test_a_kernel_that_does_nothing_of_the_users_says_so():
    folded = fold({"a": dump(_CONTROL, _IDLE), "b": dump(_CONTROL, [*_WORKER, ("<In 2>", 5, "<module>")])})
    assert [(stack.names, len(stack.frames)) for stack in folded.main] == [(("a",), 0), (("b",), 1)]
    assert "1: a\n  │    no code of the user's: idle, or what it runs awaits something" in str(folded)


def test_other_threads_of_the_user_stand_apart_and_are_counted():
    own = [*_BOOTSTRAP[:1], _ATTRIBUTED, _BOOTSTRAP[1], _RUN]
    mine = [*own, ("/t.py", 9, "feed")]
    main = [("/t.py", 1, "<module>")]
    folded = fold({"a": dump(mine, mine, own, main), "b": dump(mine, _CONTROL, main)})
    assert [stack.names for stack in folded.main] == [("a", "b")]
    assert [(stack.names, stack.frames[-1].function) for stack in folded.threads] == [
        (("a", "a", "b"), "feed"),
        (("a",), "run"),
    ]
    assert "  ├─ 2: a b (3 threads)\n  │    feed (t.py:9)" in str(folded)


def test_who_did_not_answer_is_told_apart_and_hides_nobody():
    late = WorkerBusy("no stack came within 2 s")
    stacks = {"a": rank(), "garbled": "nothing of the kind", "cut": dump(_CONTROL, [*_BOOTSTRAP, ("/t.py", 9, "feed")])}
    folded = fold(stacks, {"k1": late, "k2": WorkerBusy(str(late))})
    assert [stack.names for stack in folded.main] == [("a",)]
    assert folded.threads[0].names == ("cut",)
    assert set(folded.errors) == {"garbled", "cut", "k1", "k2"}
    assert str(folded).endswith(
        "no stack of k{1..2}: no stack came within 2 s\n"
        "no stack of garbled cut: what it told of its stacks has no main thread"
    )
    assert str(fold({}, {"a": late})) == "no stack of a: no stack came within 2 s"


@pytest.mark.parametrize(
    "header",
    [
        "Current thread 0x{:016x} (most recent call first):",
        "Thread 0x{:016x} [python3.14] (most recent call first):",
        "Stack (most recent call first):",
    ],
)
def test_each_way_in_which_a_python_heads_a_stack_is_known(header):
    folded = fold({"a": dump([("/t.py", 1, "f")], header=header)})
    assert folded.main[0].frames == (Frame("f", "/t.py", 1),)


def test_what_a_very_deep_stack_leaves_out_is_marked():
    deep = dump([("/t.py", 1, "f")] * 3) + "  ...\n"
    folded = fold({"a": deep, "b": deep.replace('"/t.py", line 1', "???, line ???")})
    assert folded.main[0].frames[:2] == (Frame("...", "", 0), Frame("f", "/t.py", 1))
    assert folded.main[1].frames[:2] == (Frame("...", "", 0), Frame("f", "???", 0))
    assert "  │    f (???:?)" in str(folded) or "       f (???:?)" in str(folded)


def test_files_of_one_name_are_told_apart():
    folded = fold({"a": dump([("/x/a/t.py", 1, "f"), ("/x/b/t.py", 2, "g"), ("/x/b/u.py", 3, "h")])})
    assert str(folded).split("\n")[1:] == ["  f (a/t.py:1)", "  g (b/t.py:2)", "  h (u.py:3)"]


_frames = st.tuples(st.sampled_from(["/t.py", "/u/t.py", "<string>"]), st.integers(1, 3), st.sampled_from("fgh"))
_stacks = st.lists(_frames, min_size=1, max_size=5)


@given(st.dictionaries(st.from_regex(r"[ab]-[0-9]{1,2}", fullmatch=True), st.lists(_stacks, min_size=1, max_size=3)))
def test_those_are_together_that_do_the_same_and_each_stands_once(kernels):
    folded = fold({name: dump(_CONTROL, *threads) for name, threads in kernels.items()})
    alike = {}
    for name, threads in kernels.items():
        alike.setdefault(tuple(threads[-1]), []).append(name)
    found = {tuple((f.file, f.line, f.function) for f in stack.frames): [*stack.names] for stack in folded.main}
    assert found == alike
    assert sum(len(stack.names) for stack in folded.threads) == sum(len(threads) - 1 for threads in kernels.values())
    counts = [len(stack.names) for stack in folded.main]
    assert counts == sorted(counts, reverse=True)
    assert not folded.errors
    innermost = {stack.frames[-1].function for stack in folded.main}
    assert all(f"{function} (" in str(folded) for function in innermost)


@given(st.dictionaries(st.text(max_size=5), st.text(alphabet='Thread 0x1(most):\n File"in?.', max_size=200)))
def test_no_text_makes_it_fail(stacks):
    folded = fold(stacks)
    assert sorted([*folded.errors, *(name for stack in folded.main for name in stack.names)]) == sorted(stacks)
    str(folded)
