"""Neural networks; knows no Qt, no SQL and no slide files."""

import os

# Before torch is loaded: its threads sleep while they wait for each other and do not spin. Beside
# reading threads, the viewer or another program they take each other's cores otherwise: measured on
# two busy cores, the detector's pass took 1 s instead of 7 s.
# https://www.openmp.org/spec-html/5.0/openmpse55.html
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
