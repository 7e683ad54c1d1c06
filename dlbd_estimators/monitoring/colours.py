"""Colours that people with any colour vision can distinguish (Okabe and Ito)."""

from __future__ import annotations

from dlbd_estimators.monitoring.fits import Fit

_FITS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
PHASE_COLOURS = {
    "read": "#56B4E9",
    "decode": "#0072B2",
    "compute": "#009E73",
    "reduce": "#E69F00",
    "wait": "#CCCCCC",
}


def colour_of(fit: Fit) -> str:
    """Return the colour of a fit, which is the same in all figures and at all times."""
    return _FITS[fit.hue % len(_FITS)]
