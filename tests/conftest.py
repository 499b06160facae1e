"""What holds for every test: properties are checked on the same examples in every run, and never timed."""

from hypothesis import settings

settings.register_profile("mftpy", derandomize=True, deadline=None)
settings.load_profile("mftpy")
