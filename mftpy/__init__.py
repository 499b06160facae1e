"""A market maker in three processes over shared memory."""
