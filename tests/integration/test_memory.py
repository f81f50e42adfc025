"""What a server holds on to does not grow with what it is asked."""

import ctypes

from index.memory import remember_few_shapes
from tests.processes import Tell, run

SHAPES = 300


class Malloc(ctypes.Structure):
    """`struct mallinfo2` of malloc.h, in bytes."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def used_megabytes() -> float:
    count = ctypes.CDLL(None).mallinfo2
    count.restype = Malloc
    now = count()
    return float(now.uordblks + now.hblkhd) / 1e6


def multiply(tell: Tell) -> None:
    """Multiply matrices of many shapes as the model does; tell how much memory is held for it then."""
    remember_few_shapes()
    import torch

    weights = torch.zeros(1536, 384, dtype=torch.bfloat16)
    with torch.inference_mode():
        before = used_megabytes()
        for rows in range(1, SHAPES + 1):
            torch.nn.functional.linear(torch.zeros(rows, 384, dtype=torch.bfloat16), weights)
        tell(used_megabytes() - before)


def test_texts_of_ever_new_lengths_do_not_fill_the_memory() -> None:
    [grown] = run(multiply)

    assert grown < 60
