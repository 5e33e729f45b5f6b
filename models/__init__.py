"""Neural networks; knows no Qt, no SQL and no slide files."""
