"""Why some of scikit-learn's own tests do not pass with our classes, one by one."""

from __future__ import annotations

COLD = "a fit without warm_start begins at the solution of a sample, not at zero"
PRIVATE = "looks at private attributes or methods of scikit-learn's class"
DENSE = "sparse rows are made dense, and every solver takes them"
FLOAT32 = "coef_ is float64 for float32 data too"
_CSR = ("csr_matrix", "csr_array")

#: By file and function, or file, function and parameters where only some fail.
_REASONS = {
    "linear_model/tests/test_logistic.py": {
        "test_liblinear_dual_random_state": "the answer does not depend on the random state",
        "test_logistic_cv": "compares with liblinear, which stops five digits from the optimum",
        "test_logreg_predict_proba_multinomial": PRIVATE,
        "test_warm_start_newton_solver[1-False-newton-cholesky]": COLD,
        "test_warm_start_newton_solver[1-False-newton-cg]": COLD,
        "test_warm_start_newton_solver[inf-False-newton-cholesky]": COLD,
        "test_warm_start_newton_solver[inf-False-newton-cg]": COLD,
        **{
            f"test_dtype_match[{container}-{intercept}-{solver}]": FLOAT32
            for container in _CSR
            for intercept in (True, False)
            for solver in ("lbfgs", "newton-cg", "newton-cholesky", "sag", "saga")
        },
        **{
            f"test_large_sparse_matrix[{container}-{solver}]": DENSE
            for container in _CSR
            for solver in ("liblinear", "sag", "saga")
        },
        "test_liblinear_with_large_values": "values above 1e30 freeze liblinear, and nothing here",
        "test_newton_cholesky_fallback_to_lbfgs": "newton needs no other solver for wide data",
        "test_logistic_regression_callback_support": "counts an empty task after the last step",
        "test_logistic_regression_callback_support_warning": "every solver tells callbacks",
    },
    "linear_model/tests/test_ridge.py": {
        "test_ridge_regression": "solver_ names our solver",
        "test_n_iter": "the direct solver takes one step, whatever max_iter is",
        "test_dtype_match": FLOAT32,
        "test_dtype_match_cholesky": FLOAT32,
        "test_ridge_fit_intercept_sparse_error": DENSE,
        "test_ridge_fit_intercept_sparse_sag": DENSE,
        "test_lbfgs_solver_error": "the warning names coordinate descent, which runs in its place",
    },
    "linear_model/tests/test_base.py": {
        "test_raises_value_error_if_positive_and_sparse": DENSE,
        "test_inplace_data_preprocessing[42-True-None]": "X is never changed",
        "test_inplace_data_preprocessing[42-False-None]": "X is never changed",
    },
    "linear_model/tests/test_coordinate_descent.py": {
        "test_enet_nonfinite_params": "sums that overflow are told of by block",
        "test_lasso_dual_gap": "the gap is at rounding, which the test takes for its size",
        "test_lasso_alpha_warning": "alpha=0 converges as any other",
        "test_elasticnet_precompute_incorrect_gram": "a matrix that is passed is not used",
        "test_overridden_gram_matrix": "a matrix that is passed is not used",
        "test_warm_start_convergence": "any fit takes two steps, and a warm one no fewer",
        "test_warm_start_convergence_with_regularizer_decrement": "any fit takes two steps",
        "test_check_input_false": "the input is always checked, and brought into order",
        "test_enet_copy_X_False_check_input_False": "X is never changed",
        "test_enet_float_precision": FLOAT32,
        "test_enet_coordinate_descent_raises_convergence": "converges in the two steps it is given",
    },
    "neural_network/tests/test_mlp.py": {
        "test_gradient": PRIVATE,
        "test_learning_rate_warmstart": PRIVATE,
        "test_nonfinite_params": "Diverged says it in other words, with the epoch",
        "test_predict_proba_multilabel": "log-probabilities differ where probabilities round to 1",
        "test_adaptive_learning_rate": PRIVATE,
        "test_n_iter_no_change": PRIVATE,
        "test_n_iter_no_change_inf": PRIVATE,
        "test_early_stopping_stratified": "names the class by the user's label",
    },
}

#: Tests that take longest, left out where time is short.
SLOW = (
    "linear_model/tests/test_coordinate_descent.py::test_enet_alpha_max",
    "linear_model/tests/test_coordinate_descent.py::test_enet_cv_grid_search",
    "linear_model/tests/test_coordinate_descent.py::test_enet_ridge_consistency",
    "linear_model/tests/test_logistic.py::test_LogisticRegressionCV_GridSearchCV_elastic_net",
    "linear_model/tests/test_logistic.py::test_elastic_net_versus_sgd",
    "linear_model/tests/test_logistic.py::test_elastic_net_vs_l1_l2",
    "linear_model/tests/test_logistic.py::test_l1_ratio_None_deprecated",
    "linear_model/tests/test_logistic.py::test_logistic_cv_folds_with_classes_missing",
    "linear_model/tests/test_logistic.py::test_logistic_cv_multinomial_score",
    "linear_model/tests/test_logistic.py::test_logistic_regression_solvers_multiclass",
    "linear_model/tests/test_logistic.py::test_logistic_regression_callback_fitted_estimator",
    "linear_model/tests/test_logistic.py::test_multinomial_cv_iris",
    "linear_model/tests/test_logistic.py::test_multinomial_logistic_regression_string_inputs",
    "linear_model/tests/test_logistic.py::test_n_iter",
    "linear_model/tests/test_logistic.py::test_scores_attribute_layout_elasticnet",
    "linear_model/tests/test_ridge.py::test_regularization_limits_ridge_gcv",
    "linear_model/tests/test_ridge.py::test_ridge_cv_results_predictions",
    "linear_model/tests/test_ridge.py::test_ridge_gcv_sample_weights",
    "neural_network/tests/test_mlp.py::test_lbfgs_classification",
    "neural_network/tests/test_mlp.py::test_lbfgs_regression",
    "neural_network/tests/test_mlp.py::test_multilabel_classification",
    "neural_network/tests/test_mlp.py::test_multioutput_regression",
    "neural_network/tests/test_mlp.py::test_n_iter_no_change_inf",
    "neural_network/tests/test_mlp.py::test_partial_fit_classification",
    "neural_network/tests/test_mlp.py::test_partial_fit_regression",
    "neural_network/tests/test_mlp.py::test_warm_start",
)


def reason(name: str) -> str | None:
    """Return why a test, by its pytest name, does not pass; None where it should."""
    file, test = name.split("::")
    known = _REASONS.get(file, {})
    return known.get(test, known.get(test.split("[")[0]))
