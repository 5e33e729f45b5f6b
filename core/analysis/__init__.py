"""From a slide to scored candidates: tiling, pipeline, evaluation."""
