"""What comes next, prepared while the present is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(tasks: Iterable[Callable[[], T]], workers: int) -> Generator[T]:
    """Yields the results of tasks in their order, whichever thread is done first.

    Args:
        tasks: as many as there are results; twice as many as there are workers, and one, are under way.
        workers: threads.

    Raises:
        What a task raises, when it is its turn.
    """
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[T]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
