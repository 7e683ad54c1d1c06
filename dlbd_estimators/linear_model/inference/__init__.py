"""How sure the coefficients of a linear model are: standard errors, tests and intervals."""
