"""What a test does beside the browser of other tests, which keeps an event loop running in their thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def alone(work: Callable[[], Result]) -> Result:
    """Do it in a thread of its own, where no event loop is running, and give what it gives."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
