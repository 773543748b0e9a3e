"""How much memory a file of unknown origin may take when it is decoded."""

from a2d_tf import checks
from a2d_tf.errors import InvalidInputError

GIB = 2**30
MAX_DECODED_GIB = 1.0  # 64 million pixels of a picture, at the 16 bytes that one takes at most
# A large file may become larger still: one that compresses so little is no trap.
USUAL_RATIO = 20

_limit = MAX_DECODED_GIB


def set_max_decoded_gib(gib: float) -> None:
    """Sets how much memory one file may take when it is decoded, for the whole process.

    Args:
      gib: the limit in GiB; `MAX_DECODED_GIB` by default. A file that is decoded to at most
        `USUAL_RATIO` times its own size is never refused.

    Raises:
      InvalidInputError: it is not a finite number above 0.
    """
    global _limit
    _limit = checks.number(gib, "a limit in GiB")


def max_decoded_gib() -> float:
    """The limit in GiB that holds now."""
    return _limit


def check_decoded(size: int, stored: int, what: str) -> None:
    """Raises InvalidInputError if something would take too much memory.

    Args:
      size: the bytes that it would take.
      stored: the bytes of its file.
      what: names it, for the message.
    """
    if size > max(_limit * GIB, USUAL_RATIO * stored):
        raise InvalidInputError(
            f"expected {what} to take at most {_limit:g} GiB of memory, got {size / GIB:.3g} GiB "
            f"out of {stored / 2**20:.3g} MiB; if you trust it, raise the limit "
            "(--max_decoded_gib, storage.limits.set_max_decoded_gib)"
        )
