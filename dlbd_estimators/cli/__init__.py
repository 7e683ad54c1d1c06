"""The command line ``dlbd``: train, score and apply models on stored data sets.

Another package opens the data sets. It registers its functions as entry points, see
:mod:`dlbd_estimators.cli.registered`; neither package imports the other.
"""
