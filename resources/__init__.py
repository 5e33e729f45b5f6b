"""Data only: protocols, the model registry and the shipped weights."""
