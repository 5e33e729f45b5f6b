"""What `mitoscope self-test` does: tries every part of the program on data with known answers."""
