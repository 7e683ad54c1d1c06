"""Solvers of smooth problems: those without an l1 penalty and without bounds."""
