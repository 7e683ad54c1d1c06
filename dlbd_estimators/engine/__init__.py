"""Runs passes: one kernel over all blocks, reduced in a fixed tree to one partial."""
