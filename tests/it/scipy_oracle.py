# Answers the questions of scipy_oracle.rs: a line of numbers for each, "nan" where there is no answer.
import json
import math
import sys
import warnings

import numpy as np
from scipy import stats

warnings.simplefilter("ignore")
NAN = float("nan")


def spread(values, resolution):
    values = np.array(values, dtype=float)
    middle = np.median(values)
    if not np.isfinite(middle):
        return [NAN, NAN, NAN]
    mad = stats.median_abs_deviation(values)
    apart = values[0] - middle
    scale = max(1.4826 * mad, 0.05 * abs(middle), resolution)
    return [middle, mad, apart / scale if apart != 0 else 0.0]


def rank_sum(a, b):
    # SciPy adds the numbers up to see whether one is not a number, and finds one in inf - inf. Ranks
    # are the same with a large number in its place.
    a, b = np.clip(np.array(a, dtype=float), -1e300, 1e300), np.clip(np.array(b, dtype=float), -1e300, 1e300)
    found = stats.mannwhitneyu(b, a)
    greater = np.greater.outer(b, a).mean() - np.less.outer(b, a).mean()
    return [found.statistic, found.pvalue, greater]


def differences(a, b):
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return [NAN]
    return [np.median(np.subtract.outer(b, a))]


def shift(a, b):
    a, b = np.array(a), np.array(b)
    ends = np.sort(np.subtract.outer(b, a).ravel())
    between = np.concatenate([[ends[0] - 1], (ends[1:] + ends[:-1]) / 2, [ends[-1] + 1]])
    p = stats.mannwhitneyu(
        b[None, :] - between[:, None], np.broadcast_to(a, (len(between), len(a))), axis=1
    ).pvalue
    held = np.flatnonzero(p > 0.05)
    # A shift beyond all differences that is not rejected: there is no end.
    if held[0] == 0:
        return [np.median(ends), NAN, NAN]
    return [np.median(ends), ends[held[0] - 1], ends[held[-1]]]


def signed_rank(differences):
    d = np.clip(np.array(differences, dtype=float), -1e300, 1e300)
    delta = (d > 0).mean() - (d < 0).mean()
    d = d[d != 0]
    if len(d) == 0:
        return [0, 1, delta]
    ranks = stats.rankdata(abs(d))
    w = ranks[d > 0].sum()
    if len(d) > 30:
        return [w, stats.wilcoxon(d, mode="approx", correction=True).pvalue, delta]
    if len(set(ranks)) == len(ranks):
        return [w, stats.wilcoxon(d, mode="exact").pvalue, delta]
    # SciPy counts out no ties: by definition, each sign tossed, in whole numbers.
    orders = [1]
    for rank in (2 * ranks).astype(int):
        orders = np.convolve(np.array(orders, dtype=object), [1] + [0] * (rank - 1) + [1])
    tail = int(2 * min(w, ranks.sum() - w))
    return [w, min(1.0, 2 * sum(orders[: tail + 1]) / sum(orders)), delta]


def walsh(differences):
    i, j = np.triu_indices(len(differences))
    d = np.array(differences)
    return np.sort((d[i] + d[j]) / 2)


def means(differences):
    if not np.isfinite(differences).all():
        return [NAN]
    return [np.median(walsh(differences))]


def paired_shift(differences):
    ends = walsh(differences)
    between = np.concatenate([[ends[0] - 1], (ends[1:] + ends[:-1]) / 2, [ends[-1] + 1]])
    mode = dict(mode="exact") if len(differences) <= 30 else dict(mode="approx", correction=True)
    shifted = np.array(differences)[None, :] - between[:, None]
    held = [at for at, d in enumerate(shifted) if stats.wilcoxon(d, **mode).pvalue > 0.05]
    # A shift beyond all means that is not rejected: there is no end.
    if held[0] == 0:
        return [np.median(ends), NAN, NAN]
    return [np.median(ends), ends[held[0] - 1], ends[held[-1]]]


def fisher(table):
    p = stats.fisher_exact(table)[1]
    # By definition, in whole numbers: SciPy's own rounding makes it miss tables that are as likely as
    # this one.
    (a, b), (c, d) = table
    row, other, column = a + b, c + d, a + c
    orders = [math.comb(row, k) * math.comb(other, column - k) for k in range(column + 1)]
    exact = sum(it for it in orders if it <= orders[a]) / sum(orders)
    agrees = abs(p - exact) <= 1e-9 * exact
    Fisher.asked += 1
    Fisher.agreed += agrees
    return [exact]


class Fisher:
    asked = 0
    agreed = 0


def holm(p):
    p = np.array(p)
    return [min(1.0, max((p >= q).sum() * q for q in p[p <= one])) for one in p]


def benjamini_hochberg(p):
    p = np.array(p)
    return [min(1.0, min(len(p) * q / (p <= q).sum() for q in p[p >= one])) for one in p]


def quantile(values, q, confidence):
    values, n = np.sort(np.array(values, dtype=float)), len(values)
    tail = (1 - confidence) / 2
    ranks = np.arange(n + 1)
    low = int((stats.binom.cdf(ranks, n, q) <= tail).sum())
    high = int((stats.binom.sf(ranks - 1, n, q) <= tail).sum())
    if low < 1 or high < 1:
        return [NAN, NAN]
    return [values[low - 1], values[n - high]]


def number(value):
    if isinstance(value, list):
        return [number(one) for one in value]
    return float(value) if value in ("inf", "-inf") else value


for what, *arguments in json.load(sys.stdin):
    print(*(repr(float(one)) for one in globals()[what](*map(number, arguments))))
if Fisher.agreed < 0.95 * Fisher.asked:
    sys.exit("SciPy agrees with the definition in %d of %d cases" % (Fisher.agreed, Fisher.asked))
