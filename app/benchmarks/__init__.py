"""Measurements behind the figures in the README; each is a subcommand of `mitoscope benchmark`."""
