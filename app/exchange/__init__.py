"""Files that leave and enter, from the command line and the desktop."""
