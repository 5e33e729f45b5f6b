"""Protocols, the hot spot and the statistics of a count."""
