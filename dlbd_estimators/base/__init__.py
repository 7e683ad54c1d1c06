"""What all estimators share: input, parameters, predictions, callbacks, and the way out."""
