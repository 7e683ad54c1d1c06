"""Run passes: evaluate one kernel on all blocks and join the partials in a fixed binary tree."""
