"""The reading of a slide: figures, verdicts, count area, signing; knows neither Qt nor torch."""
