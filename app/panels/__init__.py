"""The panels around the viewer; each shows the room and asks it for things."""
