"""Which kernels are meant by braces and by patterns of names, and what is said of those that mean none."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.errors import NoSuchKernel, RequestError
from rpyc_kernel.groups.targets import MAX_TARGETS, expand

RUNNING = ["train-10", "web", "train-2", "train-1", "eval-3"]
SECRET = "k1.c2VjcmV0LXNlY3JldC1zZWNyZXQ.ZmluZ2VycHJpbnQ"


def nobody():
    """For targets without patterns of names: nobody looks which kernels run."""
    raise AssertionError("asked for the kernels that run")


def running():
    return iter(RUNNING)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("demo", ["demo"]),
        ("ssh://gpu{1..3}/train", ["ssh://gpu1/train", "ssh://gpu2/train", "ssh://gpu3/train"]),
        ("n{08..11}", ["n08", "n09", "n10", "n11"]),
        ("n{3..1}", ["n3", "n2", "n1"]),
        ("n{1..10..4}", ["n1", "n5", "n9"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{a,b{1..2},{c,d}e}", ["a", "b1", "b2", "ce", "de"]),
        ("train{,-old}", ["train", "train-old"]),
        ("{a..c}", ["a", "b", "c"]),
        ("tcp://[::1]:4{0..1}00", ["tcp://[::1]:4000", "tcp://[::1]:4100"]),
    ],
)
def test_braces_are_written_out_in_order(pattern, meant):
    assert expand(pattern, nobody) == meant


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.recursive(
            st.sampled_from(["a", "n-", "7", "{1..3}", "{08..11}", "{-2..1}", "{9..2..3}", "{-01..1}", "{c..f..2}"]),
            lambda inner: st.lists(st.lists(inner, max_size=2).map("".join), min_size=2, max_size=3).map(
                lambda parts: "{" + ",".join(parts) + "}"
            ),
            max_leaves=4,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_braces_mean_what_they_mean_in_bash(parts):
    pattern = "x" + "".join(parts)
    said = subprocess.run(["bash", "-c", f"printf '%s\\n' {pattern}"], capture_output=True, text=True, check=True)
    theirs = said.stdout.split()
    if len(theirs) == len(set(theirs)):
        assert expand(pattern, nobody) == theirs


def test_names_are_found_by_patterns_and_stand_as_people_count():
    assert expand("train-*", running) == ["train-1", "train-2", "train-10"]
    assert expand("train-?", running) == ["train-1", "train-2"]
    assert expand(["{eval,train}-[13]"], running) == ["eval-3", "train-1"]
    assert expand("*-[!12]", running) == ["eval-3"]


def test_a_pattern_takes_no_kernel_that_is_named_already_and_moves_none():
    assert expand(["web", "*"], running) == ["web", "eval-3", "train-1", "train-2", "train-10"]
    assert expand(["train-*", "train-2"], running) == ["train-1", "train-10", "train-2"]
    assert expand(["train-?", "*-1*"], running) == ["train-1", "train-2", "train-10"]


@pytest.mark.parametrize("twice", [["web", "web"], ["ssh://gpu{1..3}/t", "ssh://gpu2/t"], "{a,b,a}"])
def test_a_kernel_that_is_named_twice_is_refused(twice):
    with pytest.raises(RequestError, match="is named twice; a group has each kernel once"):
        expand(twice, nobody)


def test_a_pattern_that_nobody_has_tells_who_runs():
    with pytest.raises(NoSuchKernel, match=r"has a name like 'jobs-\*'; these run: eval-3, train-1, train-2, train-10"):
        expand(["web", "jobs-*"], running)
    with pytest.raises(NoSuchKernel, match="none runs; start one with 'rpyc-kernel start'"):
        expand("*", list)


def test_a_path_is_taken_as_it_is():
    assert expand([Path("/tmp/{1..2}[a]*.json"), "/tmp/[b].json"], nobody) == ["/tmp/{1..2}[a]*.json", "/tmp/[b].json"]


@pytest.mark.parametrize(
    ("slip", "why"),
    [
        ("ssh://gpu{1-8}/train", r"\{1-8\} is neither a list, as \{a,b\}, nor a range"),
        ("ssh://gpu{}/train", "neither a list"),
        ("n{a..C}", "neither a list"),
        ("n{{a,b}}", "neither a list"),
        ("n{1..2", "one '{' has no '}' behind it"),
        ("n1..2}", "one '}' has no '{' before it"),
        ("n{a,b}}", "one '}' has no '{' before it"),
        ("ssh://gpu1/train-*", "only the names of kernels that run on this machine can have patterns"),
        ("/tmp/{x}.json", "as a pathlib.Path"),
        ("{a," * 60 + "b" + "}" * 60, "more than 50 braces"),
        ("", None),
        ([], "at least one kernel"),
        (None, "not by NoneType"),
        (3, "not by int"),
        (b"demo", "not by bytes"),
        (["demo", 3], "not by int"),
    ],
)
def test_a_slip_is_told(slip, why):
    if why is None:  # what is no name is told where it is looked for
        assert expand(slip, nobody) == [slip]
        return
    with pytest.raises(RequestError, match=why):
        expand(slip, nobody)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("many", ["n{1..1000000}", "n{1..999999999999999999}", "{0..9}" * 9, ["{1..9999}", "{a..c}"]])
def test_an_absurd_number_of_kernels_is_refused_at_once(many):
    with pytest.raises(RequestError, match="more than 10,000 kernels"):
        expand(many, nobody)
    assert len(expand(f"n{{1..{MAX_TARGETS}}}", nobody)) == MAX_TARGETS


def test_what_stands_behind_the_sharp_is_kept_and_never_shown():
    whole = "rpyc+tls://gpu{1..2}:4000/demo#" + SECRET
    assert expand(whole, nobody) == [f"rpyc+tls://gpu{at}:4000/demo#{SECRET}" for at in (1, 2)]
    for slip in ([whole, whole], whole.replace("1..2", "1-2"), whole.replace("1..2", "1..20000")):
        with pytest.raises(RequestError) as refusal:
            expand(slip, nobody)
        assert SECRET not in str(refusal.value)


@given(st.lists(st.text("abc{}.,0123456789*?[]!-#:/", max_size=12), max_size=3))
def test_whatever_is_written_is_understood_or_refused(targets):
    try:
        meant = expand(targets, running)
    except (RequestError, NoSuchKernel):
        return
    assert len(set(meant)) == len(meant) > 0
