"""Detectors keep the contract of scikit-learn's estimators, where it applies."""

import pytest
import sklearn
from sklearn.utils.estimator_checks import check_estimator

from a2d_tf import detectors
from a2d_tf.detectors import columns, profile, zscore

BOOLEANS = "labels are booleans with a fixed meaning"
OWN_WORDS = "the input is refused, in the words of this library"
EXPECTED_FAILURES = {
    "check_estimators_dtypes": BOOLEANS,
    "check_dtype_object": BOOLEANS,
    "check_classifier_data_not_an_array": BOOLEANS,
    "check_classifiers_classes": BOOLEANS,
    "check_classifiers_train": BOOLEANS,
    "check_classifiers_regression_target": BOOLEANS,
    "check_classifier_not_supporting_multiclass": BOOLEANS,
    "check_classifiers_one_label": "benign inputs alone are enough for some detectors",
    "check_supervised_y_2d": OWN_WORDS,
    "check_n_features_in_after_fitting": OWN_WORDS,
    "check_estimators_empty_data_messages": OWN_WORDS,
    "check_fit2d_1sample": OWN_WORDS,
    "check_fit2d_1feature": OWN_WORDS,
    "check_fit2d_predict1d": OWN_WORDS,
    "check_requires_y_none": OWN_WORDS,
    "check_fit1d": "an array [N] is a single column",
    "check_do_not_raise_errors_in_init_or_set_params": "settings are checked when they are given",
}
# It judges a single column, and the checks give it several.
SINGLE_COLUMN = {"threshold"}


@pytest.mark.skipif(
    sklearn.__version__.startswith("1.6."),
    reason="scikit-learn 1.6 numbers the two classes otherwise than by 0 and 1",
)
@pytest.mark.parametrize("name", sorted(detectors.REGISTRY.keys() - SINGLE_COLUMN))
def test_the_contract(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (columns, profile, zscore):
        monkeypatch.setattr(module, "MIN_INPUTS", 1)  # the checks fit on few inputs
    # On so few, a rate of 10 % cannot be set.
    settings = {"fpr": 0.5} if name in ("conformal", "profile") else {}
    checked = check_estimator(detectors.REGISTRY[name](**settings), on_fail=None, on_skip=None)
    failed = {
        one["check_name"]: one["exception"] for one in checked if one["status"] == "failed"
    }
    assert not {name: error for name, error in failed.items() if name not in EXPECTED_FAILURES}
    assert sum(one["status"] == "passed" for one in checked) > 30
