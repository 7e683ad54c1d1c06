"""Solvers of problems with an l1 norm or with non-negative coefficients."""
