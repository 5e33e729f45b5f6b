"""The slide viewer: tiles to the screen, layers over them, tools on them."""
