"""Work that runs side by side gives what it gives one after the other."""

import threading
from collections.abc import Iterator

import pytest
import torch

from align.models.lanes import side_by_side

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_two_pieces_meet_and_answer_in_order() -> None:
    both = threading.Barrier(2)  # passed only if both run at the same time

    def piece(number: int) -> tuple[int, int]:
        both.wait(timeout=20)
        return number, torch.get_num_threads()

    assert side_by_side(CPU, lambda: piece(0), lambda: piece(1)) == [(0, 1), (1, 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_gradients_are_those_of_one_after_the_other() -> None:
    def gradient() -> torch.Tensor:
        weight = torch.linspace(0, 1, 64 * 64).view(64, 64).requires_grad_()
        (weight @ weight.T).tanh().sum().backward()
        assert weight.grad is not None
        return weight.grad

    with torch.no_grad():  # a thread has its own gradient mode: the caller's does not reach it
        together = side_by_side(CPU, gradient, gradient)
    for found in together:
        torch.testing.assert_close(found, gradient())


@pytest.mark.usefixtures("two_threads")
def test_what_breaks_in_a_lane_breaks_the_caller() -> None:
    def broken() -> None:
        raise ValueError("a piece of work")

    with pytest.raises(ValueError, match="a piece of work"):
        side_by_side(CPU, broken, lambda: None)


def test_one_thread_takes_turns() -> None:
    own = threading.get_ident()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert side_by_side(CPU, threading.get_ident, threading.get_ident) == [own, own]
    finally:
        torch.set_num_threads(before)
