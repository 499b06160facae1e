"""The quoting model: pure functions on numbers."""
