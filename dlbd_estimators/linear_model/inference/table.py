"""Tables of coefficients, with tests of linear hypotheses and prediction intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from dlbd_estimators.base.prediction import predict
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.linear_model.inference.covariance import InverseBread
from dlbd_estimators.linear_model.inference.fitted_model import FittedModel
from dlbd_estimators.linear_model.inference.intervals import IntervalPredictor
from dlbd_estimators.solvers.factor import Factor


@dataclass(frozen=True)
class WaldTest:
    """Result of a test that linear functions of the coefficients have given values.

    Parameters
    ----------
    statistic : float
        F for a regression, chi-square for a classifier.
    p_value : float
        Probability of a statistic at least as large if the hypotheses are true.
    df_hypotheses : int
        Number of hypotheses.
    df_residual : float
        Degrees of freedom of the errors; infinite for chi-square.

    Examples
    --------
    >>> from dlbd_estimators.inference import WaldTest
    >>> WaldTest(statistic=4.0, p_value=0.0455, df_hypotheses=1, df_residual=float("inf")).p_value
    0.0455
    """

    statistic: float
    p_value: float
    df_hypotheses: int
    df_residual: float


@dataclass(frozen=True, eq=False)
class CoefficientTable:
    """Coefficients of a fitted model, with their standard errors, tests and confidence intervals.

    :func:`coefficient_table` returns it. The intercept, if any, comes first; with three classes or
    more, the coefficients of each class but the first follow one another. ``str`` and notebooks
    show it as a table.

    Parameters
    ----------
    names : tuple of str
        ``"intercept"``, and the names of the features. With three classes or more,
        ``"label: intercept"`` and so on, for each class but the first.
    estimate : ndarray of shape (n_coefficients,)
        Coefficients of the model.
    standard_error : ndarray of shape (n_coefficients,)
        Standard deviation of the estimate over random samples of the rows.
    statistic : ndarray of shape (n_coefficients,)
        Estimate divided by its standard error: t for a regression, z for a classifier.
    p_value : ndarray of shape (n_coefficients,)
        Probability of a statistic at least as far from zero, if the true coefficient is zero.
    lower, upper : ndarray of shape (n_coefficients,)
        Ends of the confidence interval.
    covariance : ndarray of shape (n_coefficients, n_coefficients)
        Covariance of the estimates.
    covariance_type : str
        How the covariance was estimated: the parameter ``covariance`` of :func:`coefficient_table`.
    scale : float
        Variance of the error of a row of weight 1; 1 for a classifier.
    df_residual : float
        Degrees of freedom of t and F: the number of rows minus the number of coefficients, or the
        number of groups minus 1. It is infinite for a classifier, whose statistics are normal.
    confidence : float
        Probability with which an interval covers the true coefficient.
    n_passes : float
        Passes over the rows.
    fitted : FittedModel
        The model.
    centre : ndarray of shape (n_features,)
        Centre that is subtracted from the features for ``centred_covariance``.
    centred_covariance : ndarray of shape (n_parameters, n_parameters)
        Covariance of the coefficients and, last, of the prediction at the centre. Prediction
        intervals are computed from it, because it stays accurate for features far from zero.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LinearRegression
    >>> from dlbd_estimators.inference import coefficient_table
    >>> X = np.arange(8.0)[:, None]
    >>> y = np.array([0.1, 0.9, 2.2, 2.8, 4.1, 5.0, 5.8, 7.2])
    >>> table = coefficient_table(LinearRegression().fit(X, y), X, y)
    >>> table.to_frame().round(3)
               estimate  standard_error       t  p_value  lower  upper
    intercept     0.017           0.114   0.146    0.889 -0.263  0.297
    x0            0.999           0.027  36.501    0.000  0.932  1.066
    >>> table.prediction_interval([[10.0]]).round(2)
    array([[10.  ,  9.37, 10.64]])
    """

    names: tuple[str, ...]
    estimate: FloatArray
    standard_error: FloatArray
    statistic: FloatArray
    p_value: FloatArray
    lower: FloatArray
    upper: FloatArray
    covariance: FloatArray
    covariance_type: str
    scale: float
    df_residual: float
    confidence: float
    n_passes: float
    fitted: FittedModel = field(repr=False)
    centre: FloatArray = field(repr=False)
    centred_covariance: FloatArray = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas data frame.

        Returns
        -------
        pandas.DataFrame
            One row for each coefficient. The columns are ``estimate``, ``standard_error``, ``t`` or
            ``z``, ``p_value``, ``lower`` and ``upper``.
        """
        statistic = "z" if np.isinf(self.df_residual) else "t"
        columns = {
            "estimate": self.estimate,
            "standard_error": self.standard_error,
            statistic: self.statistic,
            "p_value": self.p_value,
            "lower": self.lower,
            "upper": self.upper,
        }
        return pd.DataFrame(columns, index=pd.Index(self.names, dtype=object))

    def __str__(self) -> str:
        return str(self.to_frame().to_string())  # all columns, however narrow the terminal

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html())

    def wald_test(self, hypotheses: Any, value: Any = 0.0) -> WaldTest:
        """Test jointly that linear functions of the coefficients have given values.

        Parameters
        ----------
        hypotheses : str, sequence of str, or array-like of shape (n_hypotheses, n_coefficients)
            Names of coefficients, or rows of factors for the coefficients in the order of
            ``names``.
        value : float or array-like of shape (n_hypotheses,), default=0.0
            The values to test for.

        Returns
        -------
        WaldTest
            The statistic and its p-value.

        Raises
        ------
        ValueError
            A name is unknown, a shape does not fit, or one hypothesis follows from the others.
        """
        rows = self._rows(hypotheses)
        count = len(rows)
        values = np.asarray(value, dtype=np.float64)
        if values.shape not in ((), (count,)):
            raise ValueError(
                f"value must be one number, or one for each of {count} hypotheses, but has shape "
                f"{values.shape}."
            )
        gap = rows @ self.estimate - values
        factor = Factor.of(rows @ self.covariance @ rows.T)
        if factor.inverse is not None:
            raise ValueError(
                f"The {count} hypotheses are linearly dependent: one of them follows from the "
                f"others, or contradicts them. Leave it out."
            )
        square = float(gap @ factor.solve(gap))
        if np.isinf(self.df_residual):
            return WaldTest(square, float(stats.chi2.sf(square, count)), count, np.inf)
        ratio = square / count
        p_value = float(stats.f.sf(ratio, count, self.df_residual))
        return WaldTest(ratio, p_value, count, self.df_residual)

    def _rows(self, hypotheses: Any) -> FloatArray:
        if isinstance(hypotheses, str):
            hypotheses = [hypotheses]
        if isinstance(hypotheses, Sequence) and all(
            isinstance(hypothesis, str) for hypothesis in hypotheses
        ):
            unknown = [hypothesis for hypothesis in hypotheses if hypothesis not in self.names]
            if unknown or not hypotheses:
                raise ValueError(f"Not among the coefficients {list(self.names)}: {unknown}.")
            places = [self.names.index(hypothesis) for hypothesis in hypotheses]
            return np.eye(len(self.names))[places]
        rows = np.atleast_2d(np.asarray(hypotheses, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] != len(self.names) or not len(rows):
            raise ValueError(
                f"hypotheses must be names, or rows of {len(self.names)} numbers, one for each of "
                f"{list(self.names)}; but they have shape {rows.shape}."
            )
        return rows

    def prediction_interval(
        self, X: Any, *, of: str = "observation", confidence: float | None = None
    ) -> Any:
        """Return predictions of a regression with their intervals.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        of : {"observation", "mean"}, default="observation"
            ``"observation"``: the interval covers the target of one new row of weight 1, if errors
            are normal and have the same variance. ``"mean"``: it covers the mean of such targets.
        confidence : float, optional
            Probability with which an interval covers its target; None means the ``confidence`` of
            the table.

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, 3)
            Prediction, lower end and upper end of the interval; a lazy Dask array if X is lazy.

        Raises
        ------
        ValueError
            The model is a classifier or has a penalty, or ``of`` is unknown.
        """
        fitted = self.fitted
        if not fitted.is_homoscedastic or fitted.strength > 0:
            raise ValueError(
                "Prediction intervals are available only for a LinearRegression. A classifier "
                "predicts probabilities, and predictions of a model with a penalty are biased."
            )
        if of not in ("observation", "mean"):
            raise ValueError(f"of must be 'observation' or 'mean', but is {of!r}.")
        confidence = self.confidence if confidence is None else check_confidence(confidence)
        coef, intercept = fitted.packing.unpack(fitted.parameters)
        model = IntervalPredictor(
            coef[0],
            self.centre,
            float(intercept[0] + coef[0] @ self.centre),
            self.centred_covariance,
            self.scale if of == "observation" else 0.0,
            float(stats.t.isf(0.5 * (1.0 - confidence), self.df_residual)),
        )
        return predict(fitted.estimator, X, model, _all, "prediction-interval")


def tabulate(
    fitted: FittedModel,
    inverted: InverseBread,
    centred: FloatArray,
    *,
    kind: str,
    scale: float,
    df: float,
    confidence: float,
    n_passes: float,
) -> CoefficientTable:
    """Return the table for a covariance of the parameters for centred features.

    Parameters
    ----------
    fitted : FittedModel
        The model.
    inverted : InverseBread
        The inverse of the bread, with the centre of the features.
    centred : ndarray of shape (n_parameters, n_parameters)
        The covariance of the parameters for centred features.
    kind : str
        How the covariance was estimated.
    scale, df : float
        Variance of the errors, and its degrees of freedom.
    confidence, n_passes : float
        See :class:`CoefficientTable`.
    """
    outputs, width = fitted.packing.shape
    estimate, names = fitted.parameters, fitted.coefficient_names
    # The matrix that converts parameters for centred features to the rows of the table.
    transform = np.eye(outputs * width)
    if fitted.packing.fit_intercept:  # the intercept comes first
        of_output = np.vstack([np.append(-inverted.centre, 1.0), np.eye(width - 1, width)])
        transform = np.kron(np.eye(outputs), of_output)
        order = np.roll(np.arange(len(names)).reshape(outputs, width), 1, axis=1).ravel()
        estimate, names = estimate[order], tuple(names[index] for index in order)
    covariance = transform @ centred @ transform.T
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / error
    regression = fitted.is_homoscedastic
    distribution = stats.t(df) if regression else stats.norm()
    half = float(distribution.isf(0.5 * (1.0 - confidence))) * error
    return CoefficientTable(
        names=names,
        estimate=estimate,
        standard_error=error,
        statistic=statistic,
        p_value=np.asarray(2.0 * distribution.sf(np.abs(statistic))),
        lower=estimate - half,
        upper=estimate + half,
        covariance=covariance,
        covariance_type=kind,
        scale=scale,
        df_residual=df if regression else np.inf,
        confidence=confidence,
        n_passes=n_passes,
        fitted=fitted,
        centre=inverted.centre,
        centred_covariance=centred,
    )


def check_confidence(confidence: Any) -> float:
    """Check that a confidence is a number between 0 and 1, and return it.

    Raises
    ------
    ValueError
        It is not such a number.
    """
    number = isinstance(confidence, Real) and not isinstance(confidence, bool)
    if not (number and 0.0 < float(confidence) < 1.0):
        raise ValueError(f"confidence must be a number between 0 and 1, but is {confidence!r}.")
    return float(confidence)


def _all(raw: FloatArray) -> FloatArray:
    return raw
