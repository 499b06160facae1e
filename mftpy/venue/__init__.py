"""Thalex: messages without I/O, then with it."""
