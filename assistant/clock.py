"""The time as this process counts it: somebody who sets the clock of the computer changes nothing that was promised."""

import time


def _elapsed() -> float:
    """Give seconds that nobody sets; on Linux those count in which the computer slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


_BEGUN = time.time() - _elapsed()


def now() -> float:
    """Give seconds since 1970, by the clock of the computer as it was when the process began."""
    return _BEGUN + _elapsed()
