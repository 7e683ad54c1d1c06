"""Solvers of smooth problems: no l1 norm, and no bounds."""
