"""Stands for a large library."""
