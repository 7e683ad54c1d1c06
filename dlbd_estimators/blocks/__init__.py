"""What kernels read: aligned rows of the columns of a data set, whatever they come from."""
