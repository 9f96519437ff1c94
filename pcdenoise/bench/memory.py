"""How much memory a computation needs, as the system sees it."""

import ctypes
import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")  # 5: forget the largest resident set so far (proc(5))


@dataclass
class Growth:
    """The most by which the resident set grew, in bytes; None where the system does not tell."""

    bytes: int | None = None


@contextmanager
def resident_growth() -> Iterator[Growth]:
    """Measure a computation; the growth is known when the context has ended. On Linux only.

    What earlier computations left is given back to the system first, as far as the C library can. What it keeps, and a
    computation takes again, does not show.
    """
    growth = Growth()
    gc.collect()  # else it may be collected in between, and hide as much
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        RESET.write_text("5")
        before = _status("VmRSS")
    except OSError:
        yield growth
        return
    yield growth
    growth.bytes = max(0, _status("VmHWM") - before)


def _status(name: str) -> int:
    """Bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), flags=re.MULTILINE)
    if found is None:
        raise OSError(f"{STATUS} does not tell {name}")
    return 1024 * int(found[1])
