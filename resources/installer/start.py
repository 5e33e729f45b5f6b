"""Where a frozen Mitoscope starts; from source it is `python -m app`."""

import multiprocessing
import os
import sys


def _mend_streams() -> None:
    """A windowed program on Windows has no stdout and stderr, which libraries write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Left open: it lasts as long as the process.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def _mend_library_path() -> None:
    """Give programs that are started from here (a browser, say) their own libraries.

    The boot loader points LD_LIBRARY_PATH to the frozen folder, and keeps what was there.
    https://pyinstaller.org/en/stable/runtime-information.html#ld-library-path-libpath-considerations
    """
    if sys.platform == "linux":
        kept = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
        os.environ.pop("LD_LIBRARY_PATH", None)
        if kept is not None:
            os.environ["LD_LIBRARY_PATH"] = kept


def _start() -> int:
    if sys.argv[1:2] == ["-c"] and len(sys.argv) == 3:
        # `sys.executable -c CODE`, as the benchmarks start themselves again.
        exec(sys.argv[2], {"__name__": "__main__"})
        return 0
    from app.__main__ import main

    return main()


if __name__ == "__main__":
    multiprocessing.freeze_support()  # first: a process that a library spawned ends in here
    _mend_streams()
    _mend_library_path()
    sys.exit(_start())
