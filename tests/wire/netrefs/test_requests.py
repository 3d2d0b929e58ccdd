"""Requests that are answered later than those behind them."""

import pytest
import rpyc

from rpyc_kernel.wire.netrefs.requests import Later
from tests.support.waiting import wait_until
from tests.wire.peers import DEADLINE_S, our_client, our_server, stock_client


class Office(rpyc.Service):
    def __init__(self):
        self.laters = []

    def later(self):
        self.laters.append(Later())
        return self.laters[-1]

    @property
    def now(self):
        return "now"

    @property
    def soon(self):
        return self.later()


@pytest.fixture(params=[our_client, stock_client])
def office(request):
    office = Office()
    with our_server(office) as (sock, server), request.param(sock) as client:
        office.client, office.server = client, server
        yield office


def test_what_is_answered_later_keeps_nobody_waiting_and_comes_in_any_order(office):
    root = office.client.root
    later = rpyc.async_(root.later)
    first, second = later(), later()
    assert root.now == "now"
    assert not first.ready
    assert len(office.laters) == 2
    office.laters[1].set_result("second")
    assert second.value == "second"
    assert not first.ready
    office.laters[0].set_result([1])
    assert first.value == [1]
    assert isinstance(first.value, rpyc.BaseNetref)


def test_an_attribute_may_come_later_too_and_an_error(office):
    result = office.client.async_request(rpyc.core.consts.HANDLE_GETATTR, office.client.root, "soon")
    wait_until(lambda: office.laters, DEADLINE_S)
    office.laters[0].set_exception(KeyError("nothing"))
    with pytest.raises(KeyError, match="nothing"):
        _ = result.value


def test_an_answer_that_comes_when_nobody_is_there_troubles_nobody(office):
    rpyc.async_(office.client.root.later)()
    wait_until(lambda: office.laters, DEADLINE_S)
    office.client._channel.close()
    wait_until(lambda: office.server.closed, DEADLINE_S)
    office.laters[0].set_result([1])
    assert not office.laters[0].exception()


def test_an_answer_that_cannot_be_sent_is_an_error(office):
    result = rpyc.async_(office.client.root.later)()
    wait_until(lambda: office.laters, DEADLINE_S)
    office.laters[0].set_result("\ud800")
    with pytest.raises(Exception, match="surrogates"):
        _ = result.value
