"""Writes `svhn/`: files in the form of SVHN's cropped digits (`train_32x32.mat`, `test_32x32.mat`), five and three
images of made-up pixels. Needs numpy and scipy: `python make_svhn.py`, in this folder."""

import numpy as np
from scipy.io import savemat


def images(count, first):
    h, w, c, n = np.meshgrid(*map(np.arange, (32, 32, 3, count)), indexing="ij")
    return ((7 * h + 3 * w + 50 * c + 11 * (n + first)) % 251).astype(np.uint8)


# The pixels' formula is repeated in src/data/svhn.rs. 10 stands for the digit 0.
train = {"X": images(5, 0), "y": np.array([[1], [9], [10], [2], [1]], dtype=np.uint8)}
savemat("svhn/train_32x32.mat", train)
test = {"X": images(3, 5), "y": np.array([[5.0], [10.0], [1.0]])}
savemat("svhn/test_32x32.mat", test, do_compression=True)
