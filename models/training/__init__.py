"""Training of what ships, and its calibration."""
