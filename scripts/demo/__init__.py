"""The demo model: what it is examined with, and what it learns from."""
