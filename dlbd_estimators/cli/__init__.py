"""``dlbd``, the command line: train, score and apply models of stored data sets.

Data sets are for another package to open. It says so by entry points, see
:mod:`dlbd_estimators.cli.registered`; neither package imports the other.
"""
