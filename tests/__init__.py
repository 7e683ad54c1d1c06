"""Tests.

A package, so that ``tests.strategies`` is this directory's and never a distribution's that
happens to install a top-level ``tests``. Its subdirectories need no ``__init__.py``.
"""
