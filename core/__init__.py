"""Slides, geometry, analysis, counting and persistence; knows neither Qt nor torch."""
