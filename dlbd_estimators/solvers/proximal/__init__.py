"""Solvers of problems with an l1 penalty or with non-negative coefficients."""
