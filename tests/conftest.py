"""Properties have no deadline, since the machine may be busy, and draw the same cases each run."""

from hypothesis import settings

settings.register_profile("patient", deadline=None, derandomize=True)
settings.load_profile("patient")
