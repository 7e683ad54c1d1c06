"""Shared parts of all estimators: input, parameters, predictions, callbacks, and saving."""
