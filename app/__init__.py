"""What the user sees: the command line, and the desktop."""

__version__ = "0.1.0"
