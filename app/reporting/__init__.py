"""The report of a count as a PDF, and how command line and desktop make one."""
