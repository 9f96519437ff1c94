import time
from functools import partial
from threading import Event

import pytest

from pcdenoise.training.prefetch import prefetched


def slow(number):
    time.sleep(0.002 * (number * 7 % 5))
    return number


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_their_tasks(workers):
    assert list(prefetched((partial(slow, n) for n in range(30)), workers)) == list(range(30))


def test_the_next_results_are_prepared_meanwhile():
    begun = [Event() for _ in range(5)]
    results = prefetched((event.set for event in begun), 1)
    next(results)
    assert begun[2].wait(timeout=60)
    assert not begun[4].is_set()


def test_an_error_comes_in_its_turn():
    def fail():
        raise ValueError("broken")

    results = prefetched(iter([lambda: 1, fail, lambda: 3]), 2)
    assert next(results) == 1
    with pytest.raises(ValueError, match="broken"):
        next(results)


def test_what_nobody_waits_for_is_not_done():
    done = []
    results = prefetched((partial(done.append, n) for n in range(1000)), 1)
    next(results)
    results.close()
    assert len(done) < 10
