"""Work in threads whose results come in the order of the work, with a bound on what is held."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    num_threads: int,
    budget: int,
    cost: Callable[[Item], int] = lambda _: 1,
) -> Generator[Result, None, None]:
    """Yield `function(item)` of every item, in order, computed ahead of whoever takes the results.

    Args:
        function: Called in threads.
        items: Taken from in the thread that takes the results, no earlier than there is room for them.
        num_threads: Calls at a time.
        budget: Most cost of the items that were begun and whose results were not taken; `num_threads` items and one
            more are begun in any case.
        cost: Of an item.

    Raises:
        Whatever `function` or `items` raise, at its place in the order. No call runs on when this ends.
    """
    waiting: deque[tuple[Future[Result], int]] = deque()
    spent = 0
    with ThreadPoolExecutor(num_threads) as threads:
        try:
            for item in items:
                price = cost(item)
                while len(waiting) > num_threads and spent + price > budget:
                    result, paid = waiting.popleft()
                    spent -= paid
                    yield result.result()
                waiting.append((threads.submit(function, item), price))
                spent += price
            while waiting:
                yield waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()
