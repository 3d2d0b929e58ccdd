"""Requests made by the stdio server's own schema: what it calls valid is taken, and nothing makes the server fail."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema

from rpyc_kernel import KernelClient
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.stdio.methods import METHODS, PREFIX, bind_command, read_params
from rpyc_kernel.faces.stdio.schema import describe_protocol
from tests.end_to_end.rpc import ServerProcess

SCHEMAS = {name: method["params"] for name, method in describe_protocol()["methods"].items()}
ENDS_IT = {"shutdown", "disconnect", "kernel/shutdown", "kernel/restart", "kernel/set_module_path"}
DEBUGS = {name for name in SCHEMAS if name.startswith("debug/")}
TRIED = sorted(SCHEMAS.keys() - ENDS_IT - DEBUGS)
HARMLESS = {
    "timeout_s": 0.1,
    "address": "no name!",  # no kernel of any name, nor any host
    "host": "127.0.0.1",
    "force": "signal",
}
WRONG_PARAMETERS, INTERNAL = -32602, -32603

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def as_older_draft(schema: Any) -> Any:
    """The same schema in words that the generator knows."""
    if isinstance(schema, list):
        return [as_older_draft(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: as_older_draft(each) for name, each in schema.items() if name not in ("description", "default")}
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
    if "pattern" in made:  # where Python's `$` would let a line end through
        made["pattern"] = made["pattern"].replace("$", r"\Z")
    return made


def made_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows. Objects are made here: those of the generator need a Hypothesis of long ago."""
    if "anyOf" in schema:
        return st.one_of(*map(made_of, schema["anyOf"]))
    if schema.get("type") != "object":
        return from_schema(as_older_draft(schema))
    each = {name: made_of(inner) for name, inner in schema.get("properties", {}).items()}
    needed = {name: each.pop(name) for name in schema.get("required", ())}
    return st.fixed_dictionaries(needed, optional=each)


@cache
def valid(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters that the schema allows, without the kernel: which ones there are it does not know."""
    schema = SCHEMAS[name]
    return made_of(
        {**schema, "properties": {each: of for each, of in schema["properties"].items() if each != "kernel"}}
    )


def any_params(name: str) -> st.SearchStrategy[Any]:
    """Parameters of any kind, most with names that the method knows."""
    names = st.sampled_from([*SCHEMAS[name]["properties"], "other"])
    good = st.tuples(valid(name), names, JSON).map(lambda made: {**made[0], made[1]: made[2]})
    return good | st.dictionaries(names, JSON, max_size=4) | JSON


def check(name: str, params: dict[str, Any]) -> None:
    """Check parameters as the server does."""
    if name.startswith(PREFIX):
        bind_command(METHODS[name], params)
    else:
        read_params(METHODS[name], params)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_what_the_schema_allows_is_taken_and_anything_else_is_refused_in_words(name: str) -> None:
    @settings(max_examples=20, database=None)
    @given(valid(name), any_params(name))
    def run(good: dict[str, Any], other: Any) -> None:
        check(name, good)
        if isinstance(other, dict):
            other.pop("kernel", None)
            with suppress(RequestError):
                check(name, other)

    run()


@pytest.fixture
def server(kernel: KernelClient, serve: Callable[..., ServerProcess]) -> ServerProcess:
    """A server with the kernel 'demo'."""
    return serve("demo")


def make_harmless(name: str, params: Any) -> Any:
    """The same parameters, but for what would make the test wait, or reach beyond it."""
    if not isinstance(params, dict):
        return params
    known = SCHEMAS[name]["properties"]
    waits = {"wait_s": 0.0} if "wait_s" in known else {}
    return {**params, **waits, **{each: HARMLESS[each] for each in params.keys() & HARMLESS}}


def requests() -> st.SearchStrategy[tuple[str, bool, Any]]:
    """Methods, whether the schema allows the parameters, and those."""
    good = st.sampled_from(TRIED).flatmap(lambda name: st.tuples(st.just(name), st.just(True), valid(name)))
    other = st.sampled_from(TRIED).flatmap(lambda name: st.tuples(st.just(name), st.just(False), any_params(name)))
    return good | other


def test_no_request_makes_the_server_fail(server: ServerProcess) -> None:
    numbers = itertools.count()

    @settings(max_examples=25, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.lists(requests(), min_size=10, max_size=20))
    def run(batch: list[tuple[str, bool, Any]]) -> None:
        begun = {}
        for name, is_valid, params in batch:
            message = {
                "jsonrpc": "2.0",
                "id": f"fuzz {next(numbers)}",
                "method": name,
                "params": make_harmless(name, params),
            }
            server.send(message)
            begun[message["id"]] = message, is_valid
        for number, (message, is_valid) in begun.items():
            response = server.wait(lambda each, number=number: each.get("id") == number)
            code = response.get("error", {}).get("code")
            assert code != INTERNAL, (message, response)
            assert not (is_valid and code == WRONG_PARAMETERS), (message, response)

    run()
    assert server.ask("code/run", code="6 * 7")["result"]["data"]["text/plain"] == "42"
