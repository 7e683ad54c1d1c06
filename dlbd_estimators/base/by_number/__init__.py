"""Rows of lazy data by their numbers: what scikit-learn's own tools ask for."""
