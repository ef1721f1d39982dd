"""Memory of the process that is freed and yet stays with it."""

import ctypes
import sys

# glibc's malloc.h: blocks of this size or more come from the system one by one, and go back there when they are freed.
M_MMAP_THRESHOLD = -3
LARGE_BLOCK_BYTES = 4 * 2**20


def give_back_large_blocks() -> bool:
    """Let large tensors that were freed go back to the system at once, instead of leaving holes between others.

    glibc raises its limit for blocks of their own, up to 32 MiB, each time such a block is freed; batches of many
    lengths then scatter over a heap that only grows: training on texts of up to 512 tokens held half as much again.

    Returns:
        Whether the C library took the setting; another one than glibc is left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES))
