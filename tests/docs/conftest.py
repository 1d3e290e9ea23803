"""Fixtures of the tests of documentation."""

from tests.support.distributions import installed

__all__ = ["installed"]
