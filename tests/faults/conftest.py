"""What the fault tests share with the system tests: the sandbox, and bridges over it."""

from system.conftest import engine, make_bridge, sandbox

__all__ = ["engine", "make_bridge", "sandbox"]
