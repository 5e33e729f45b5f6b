"""A laboratory's own adapter: where its labels come from, how it is made and compared."""
