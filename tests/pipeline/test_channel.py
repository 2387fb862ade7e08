"""What is said arrives, in order and to the last word; an end that is gone or mute is noticed."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from align.pipeline.channel import Channel
from align.pipeline.hosts import Member
from align.pipeline.interface import interface_of
from align.pipeline.job import Outcome
from align.pipeline.lead import _together


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        one = socket.create_connection(door.getsockname())
        other, _ = door.accept()
    yield one, other
    one.close()
    other.close()


def until(happened: Callable[[], object]) -> object:
    deadline = time.monotonic() + 5
    while not (found := happened()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def test_messages_arrive_in_order_and_the_last_before_the_end(pair) -> None:
    one, other = (Channel(end, silence=60) for end in pair)
    for number in range(3):
        one.send("count", number=number)
    one.close()
    assert [until(other.receive) for _ in range(3)] == [{"kind": "count", "number": n} for n in range(3)]
    assert until(lambda: other.trouble) == "ended without a word" and other.receive() is None
    other.send("count", number=3)  # to nobody, which is no error
    assert one.here == other.there == "127.0.0.1"


def test_beats_keep_a_channel_alive_and_a_mute_end_counts_as_lost(pair) -> None:
    one = Channel(pair[0], silence=0.6)
    other = Channel(pair[1], silence=0.6)
    time.sleep(1.2)
    assert one.trouble is None and other.trouble is None
    other._is_closed.set()  # no beats any more, and the connection stays
    assert until(lambda: one.trouble) == "was not heard of for 0.6 s"


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"[]\n", b"{}\n", b"\xff\n"])
def test_what_is_no_message_ends_the_channel(pair, line: bytes) -> None:
    channel = Channel(pair[0], silence=60)
    pair[1].sendall(line)
    assert until(lambda: channel.trouble) and channel.receive() is None


def test_the_interface_of_an_address_is_found() -> None:
    assert interface_of("127.0.0.1") == "lo"
    assert interface_of("192.0.2.1") is None and interface_of("::1") is None


def test_of_several_bad_outcomes_the_cause_speaks_first() -> None:
    members = [Member(1, "n1", None), Member(2, "n2", None)]  # type: ignore[arg-type]
    done = Outcome(state="done")
    reset = Outcome(state="failed", messages=("RuntimeError: Connection closed by peer",))
    killed = Outcome(state="starved", messages=("the worker was killed",))
    assert _together(done, members, {1: done, 2: done}) == done
    found = _together(reset, members, {1: reset, 2: killed})
    assert found.state == "starved"
    assert found.messages == (
        "host 2 (n2): the worker was killed",
        "RuntimeError: Connection closed by peer",
        "host 1 (n1): RuntimeError: Connection closed by peer",
    )
    assert _together(done, members, {1: reset, 2: done}).state == "failed"
