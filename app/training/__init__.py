"""Training what ships: wires labelled tissue, networks and the evaluation together."""
