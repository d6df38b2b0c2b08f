#!/usr/bin/python3
"""Prints the pixel figures that `report::metrics` is held to (its test `equal_to_the_field`).

    python3 kernels-tests/golden/localisation.py    # needs numpy, scipy, scikit-learn

Maps and masks follow from integers, so that the test makes the same ones. Average precision is
scikit-learn's. AUPRO is computed from its definition (Bergmann et al. 2020, "Uninformed Students", and the
MVTec AD evaluation): at every threshold the mean over all 8-connected regions of the share that is found,
against the share of all normal pixels; trapezoids up to a rate of 0.3, linear at the limit, divided by 0.3.
"""
import numpy as np
from scipy.ndimage import label
from sklearn.metrics import average_precision_score, roc_auc_score

H, W, LIMIT = 12, 17, 0.3


def mask_of(kind, i):
    y, x = np.mgrid[0:H, 0:W]
    if kind == "good":
        return np.zeros((H, W), bool)
    if kind == "dots":
        return (y * 7 + x * 5 + i) % 23 == 0
    return (np.abs(y - 5) + np.abs(x - 6 - 3 * i) < 4) | ((y > 9) & (x > 12))


def map_of(kind, i):
    y, x = np.mgrid[0:H, 0:W]
    noise = (y * 1237 + x * 331 + i * 71 + len(kind)) % 61
    return ((noise + 19 * mask_of(kind, i)) / 4).astype(np.float32)


def aupro(images):
    shares, rates = [0.0], [0.0]
    regions = []
    for s, m in images:
        labels, n = label(m, np.ones((3, 3)))
        regions += [s[labels == k] for k in range(1, n + 1)]
    normal = np.concatenate([s[~m] for s, m in images])
    for t in np.unique(np.concatenate([s.ravel() for s, _ in images]))[::-1]:
        shares.append(np.mean([np.mean(r >= t) for r in regions]))
        rates.append(np.mean(normal >= t))
    area = 0.0
    for a, b in zip(range(len(rates) - 1), range(1, len(rates))):
        lo, hi = rates[a], min(rates[b], LIMIT)
        if hi > lo:
            end = shares[a] + (shares[b] - shares[a]) * (hi - lo) / (rates[b] - lo)
            area += (hi - lo) * (shares[a] + end) / 2
    return float(area / LIMIT)


sets = {kind: [(map_of(kind, i), mask_of(kind, i)) for i in range(3)] for kind in ("good", "dots", "blobs")}
for name, kinds in (("all", ("dots", "blobs")), ("dots", ("dots",)), ("blobs", ("blobs",))):
    images = sets["good"] + sum((sets[kind] for kind in kinds), [])
    s = np.concatenate([s.ravel() for s, _ in images])
    y = np.concatenate([m.ravel() for _, m in images])
    print(name, *map(float, (roc_auc_score(y, s), average_precision_score(y, s), aupro(images))))
