"""The JSON of each API <-> values."""
