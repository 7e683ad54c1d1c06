"""Training of networks: epochs of mini-batches on replicas, and L-BFGS on full passes."""
