"""Loading ahead: in the caller's thread, one item and no more, and an error ends both sides."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from dlbd_estimators.engine.read_ahead import load_ahead, load_between

BOTH = pytest.mark.parametrize("stream", [load_ahead, load_between])


class Item:
    """Something whose life can be watched."""

    def __init__(self, number):
        self.number = number


def numbers_of(n):
    def work(take):
        return [take().number for _ in range(n)]

    return work


@pytest.fixture(autouse=True)
def no_threads_stay_behind():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@BOTH
@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.timeout(60)
def test_items_come_in_order_and_are_loaded_by_the_caller(stream, n):
    threads = []

    def load(number):
        threads.append(threading.current_thread())
        return Item(number)

    result, waited = stream(load, n, numbers_of(n))
    assert result == list(range(n))
    assert waited >= 0.0
    assert set(threads) == {threading.current_thread()}


@pytest.mark.timeout(60)
def test_one_item_is_loaded_while_another_is_worked_on_and_no_more():
    loaded = [threading.Event() for _ in range(6)]
    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = []

    def load(number):
        item = Item(number)
        alive.add(item)
        gc.collect()
        most.append(len(alive))
        loaded[number].set()
        return item

    def work(take):
        for number in range(5):
            item = take()
            assert item.number == number
            assert loaded[number + 1].wait(20)  # loaded while this one is in hand
            if number + 2 < 6:
                assert not loaded[number + 2].wait(0.02)
            del item
        return take().number

    assert load_ahead(load, 6, work)[0] == 5
    assert max(most) <= 2


@BOTH
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.timeout(60)
def test_an_error_of_loading_ends_the_work(stream, place):
    def load(number):
        if number == place:
            raise ZeroDivisionError(f"item {number}")
        return Item(number)

    with pytest.raises(ZeroDivisionError, match=f"item {place}"):
        stream(load, 4, numbers_of(4))


@BOTH
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.timeout(60)
def test_an_error_of_the_work_ends_the_loading(stream, place):
    loaded = []

    def load(number):
        loaded.append(number)
        return Item(number)

    def work(take):
        while True:
            item = take()
            if item.number == place:
                raise ZeroDivisionError(f"item {item.number}")

    with pytest.raises(ZeroDivisionError, match=f"item {place}"):
        stream(load, 4, work)
    assert len(loaded) <= place + 2


@pytest.mark.timeout(60)
def test_of_two_errors_that_of_the_earlier_item_counts():
    failed = threading.Event()

    def load(number):
        if number == 1:
            failed.set()
            raise ZeroDivisionError("item 1")
        return Item(number)

    def work(take):
        take()
        assert failed.wait(20)
        raise KeyError("item 0")

    with pytest.raises(KeyError, match="item 0"):
        load_ahead(load, 3, work)


@pytest.mark.timeout(60)
def test_an_interrupted_caller_leaves_no_thread():
    def load(number):
        if number == 2:
            raise KeyboardInterrupt
        return Item(number)

    with pytest.raises(KeyboardInterrupt):
        load_ahead(load, 4, numbers_of(4))


@BOTH
@pytest.mark.timeout(60)
def test_work_may_end_before_it_has_taken_all(stream):
    loaded = []

    def load(number):
        loaded.append(number)
        return Item(number)

    assert stream(load, 10, numbers_of(3))[0] == [0, 1, 2]
    assert len(loaded) <= 4
