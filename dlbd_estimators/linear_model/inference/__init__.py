"""Statistical inference for linear models: standard errors, tests and intervals."""
