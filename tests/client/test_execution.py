"""An execution as people meet it: a future, of which they see what is for them."""

import asyncio
import concurrent.futures

import pytest

from rpyc_kernel.client.execution import Execution

OF_A_FUTURE = {"add_done_callback", "cancel", "cancelled", "done", "exception", "result", "running"}
OWN = {"events", "interrupt", "outputs", "stderr", "stdout", "value"}


@pytest.fixture
def execution() -> Execution:
    return Execution(None, 1)  # type: ignore[arg-type]  # its kernel is asked for nothing


def _public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_what_completes_it_is_not_listed_with_what_people_use(execution: Execution):
    assert _public(Execution) == OF_A_FUTURE | OWN
    assert _public(execution) == _public(Execution) | {name for name in vars(execution) if not name.startswith("_")}
    assert "__repr__" in dir(execution)


def test_it_is_a_future_to_the_standard_library(execution: Execution):
    execution._lose(ValueError("lost"))
    assert concurrent.futures.wait([execution], 0).done == {execution}

    async def wait_for_it() -> object:
        return await asyncio.wait_for(asyncio.wrap_future(execution), 5)

    with pytest.raises(ValueError, match="lost"):
        asyncio.run(wait_for_it())
