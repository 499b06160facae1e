"""The three processes: wait, read, decide, write."""
