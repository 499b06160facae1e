"""Does what the caller gave fit the records of a structure? Nothing here for Python."""
