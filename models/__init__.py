"""Neural networks; knows no Qt, no SQL and no slide files."""

import os

# Before torch is loaded: its threads wait for each other awake for a moment only, then sleep.
# Beside reading threads, the viewer or another program they take each other's cores otherwise:
# measured on two busy cores, the detector's pass took 1 s instead of 7 s; on idle cores sleeping
# at once costs a fifth. GNU's library knows the first word, Intel's the second.
# https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("KMP_BLOCKTIME", "1")
