"""What the C library does with memory that arrays no longer need: neither Python nor numpy keep large pieces themselves."""

from __future__ import annotations

from contextlib import suppress

#: Free memory is kept until it is more than a block of lines ever needs, and no array of such a block, none of which is larger
#: than this, gets a mapping of its own (mallopt(3)).
_M_TRIM_THRESHOLD, _KEPT_BYTES = -1, 64 * 1024 * 1024
_M_MMAP_THRESHOLD, _LARGEST_BYTES = -3, 16 * 1024 * 1024


#: How many arenas there are at most, of which each thread has one of its own otherwise.
_M_ARENA_MAX = -8


def share_freed() -> None:
    """Let all threads take their memory from one place, so that one of them uses what another has freed. To be called before
    there are any."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def keep_freed() -> None:
    """Let the C library keep memory that is freed. An array of a block of lines lives for less than a millisecond; memory that
    went back to the kernel each time would be cleared each time."""
    import ctypes

    with suppress(OSError, AttributeError):  # another C library than GNU's
        library = ctypes.CDLL(None)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)


def give_back() -> None:
    """Let the C library give back what it has kept (malloc_trim(3)): what comes after needs less, or elsewhere."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
