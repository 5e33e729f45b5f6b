"""Files that leave or enter Mitoscope."""
