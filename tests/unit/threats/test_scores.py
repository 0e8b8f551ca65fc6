"""Correlation and PSNR, against values worked out by hand."""

import math

import numpy as np
import pytest

from securefl.errors import ConfigError
from securefl.threats import correlation, psnr

A = np.array([[0.0, 0.25], [0.5, 1.0]])


def test_correlation_ignores_scale_and_offset_and_sees_a_negative():
    assert correlation(3 * A + 1, A) == pytest.approx(1)
    assert correlation(-A, A) == pytest.approx(-1)
    assert correlation(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(0)


@pytest.mark.parametrize(("found", "truth"), [(np.ones((2, 2)), A), (A, np.zeros((2, 2)))])
def test_correlation_with_a_constant_is_refused(found, truth):
    with pytest.raises(ConfigError, match="constant"):
        correlation(found, truth)


def test_psnr_of_an_error_of_a_tenth_is_20_db():
    assert psnr(A + 0.1, A) == pytest.approx(20)
    assert psnr(25.5 + 255 * A, 255 * A, peak=255) == pytest.approx(20)
    assert psnr(A, A) == math.inf


def test_psnr_of_bytes_does_not_wrap():
    assert psnr(np.array([0], dtype=np.uint8), np.array([255], dtype=np.uint8), peak=255) == pytest.approx(0)


@pytest.mark.parametrize("score", [correlation, psnr])
@pytest.mark.parametrize(("found", "truth"), [(A, A.ravel()), (np.empty(0), np.empty(0))])
def test_other_shapes_are_refused(score, found, truth):
    with pytest.raises(ConfigError, match="shapes"):
        score(found, truth)
