"""Names, folders and defaults."""

import inspect
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.errors import BadName, RequestError
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import Folders, HubSettings, WorkerSettings, check_name


@pytest.mark.parametrize("name", ["demo", "a", "_x", "9", "a.b-c_d", "A" * 64])
def test_a_kernel_can_have_this_name(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-option", "a/b", "a b", "a\n", "demo\0", "ä", "A" * 65, "a:b", "~"]
)
def test_a_kernel_cannot_have_this_name_and_is_told_which(name):
    with pytest.raises(BadName, match="cannot name a kernel; use"):
        check_name(name)


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_one_plain_part_of_a_path(name):
    try:
        check_name(name)
    except BadName:
        return
    assert Path("/top", name).parent == Path("/top")
    assert name.isascii()
    assert len(name) <= 64


def test_a_bad_name_is_the_callers_fault():
    assert issubclass(BadName, RequestError)
    assert issubclass(BadName, ValueError)


def test_the_environment_says_where_kernels_live(monkeypatch, tmp_path):
    monkeypatch.setenv("RPYC_KERNEL_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("RPYC_KERNEL_STATE_DIR", str(tmp_path / "s"))
    assert Folders.from_environment() == Folders(tmp_path / "r", tmp_path / "s")


def test_a_relative_folder_means_the_same_to_processes_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RPYC_KERNEL_RUNTIME_DIR", "r")
    monkeypatch.setenv("RPYC_KERNEL_STATE_DIR", "./s")
    assert Folders.from_environment() == Folders(tmp_path / "r", tmp_path / "s")


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_word_of_the_environment_the_platforms_places_are_taken(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))  # as a login makes it
    for name in ("RPYC_KERNEL_RUNTIME_DIR", "RPYC_KERNEL_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    folders = Folders.from_environment()
    assert folders.runtime.is_absolute()
    assert folders.runtime.name == folders.state.name == "rpyc_kernel"
    assert folders.runtime != folders.state


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    for name in ("RPYC_KERNEL_STATE_DIR", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31)
    with pytest.raises(RequestError, match=r"has no home, .* set HOME, or RPYC_KERNEL_STATE_DIR"):
        Folders.from_environment()


@pytest.mark.parametrize("kind", [HubSettings, WorkerSettings])
def test_settings_reach_another_process_as_json(kind):
    assert kind(**json.loads(json.dumps(fields_of(kind())))) == kind()


def test_every_setting_is_explained():
    for kind in (HubSettings, WorkerSettings, Folders):
        for field in kind.__match_args__:
            assert f"\n    {field}: " in inspect.getdoc(kind)
