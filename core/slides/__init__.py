"""Slide files, pixels, tissue and crops."""
