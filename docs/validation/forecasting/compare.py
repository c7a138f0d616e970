"""Tidegate's forecasters beside statsmodels and statsforecast, on the same series, split, origins and scores.

    cargo run --release --bin backtest -- --trace FILE.csv --bin-seconds 3600 --threads 1 --series --out DIR
    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python compare.py DIR results.csv

DIR holds what `backtest` wrote: series.csv (the series as it was scored), runs.csv and timings.csv. Every package method
is fitted to the training part, fitted anew once a day, and brought up to date with every value in between; its forecasts
start at the origins of docs/forecasting.md. One thread; compilation at run time is not counted as fit.
"""

import csv
import math
import os
import statistics
import sys
import time
import warnings
from collections import defaultdict

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import pandas as pd
from scipy.stats import norm
from statsforecast.models import AutoETS, MSTL
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.sarimax import SARIMAX

LEVELS = np.array([0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99])
Z = norm.ppf(LEVELS)
DAY = 24
HORIZONS = {"1h": 1, "4h": 4, "1d": DAY}
HOUR = 3600.0


def from_normal(mean, deviation):
    """Quantiles (steps x levels) of normal forecasts; a rate is not negative."""
    return np.maximum(0.0, mean[:, None] + deviation[:, None] * Z[None, :])


class HoltWinters:
    """Additive, damped, by maximum likelihood: the fastest of the three ways that statsmodels has."""

    def make(self, seen):
        return ETSModel(pd.Series(seen), error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=DAY)

    def fit(self, seen):
        self.seen = filled(seen)
        self.parameters = self.make(self.seen).fit(disp=False).params

    def observe(self, value):
        self.seen = np.append(self.seen, self.seen[-DAY] if math.isnan(value) else value)

    def forecast(self, steps):
        n = len(self.seen)
        made = self.make(self.seen).smooth(self.parameters).get_prediction(start=n, end=n + steps - 1)
        return from_normal(np.asarray(made.predicted_mean), np.sqrt(np.asarray(made.forecast_variance)))


class Sarimax:
    """Refitted on all that was seen, filtered forward in between."""

    def make(self, seen):
        return SARIMAX(seen, order=(2, 0, 1), seasonal_order=(0, 1, 1, DAY))

    def fit(self, seen):
        self.parameters = self.make(seen).fit(disp=False, maxiter=200).params
        self.result = self.make(seen).smooth(self.parameters)

    def observe(self, value):
        self.result = self.result.append([value], refit=False)

    def forecast(self, steps):
        made = self.result.get_forecast(steps)
        return from_normal(np.asarray(made.predicted_mean), np.asarray(made.se_mean))


class StatsForecast:
    """A model of statsforecast: refitted on all that was seen; `forward` applies its parameters to what came since."""

    def __init__(self, make):
        self.make = make

    def fit(self, seen):
        self.seen = filled(seen)
        self.model = self.make().fit(self.seen)

    def observe(self, value):
        self.seen = np.append(self.seen, self.seen[-DAY] if math.isnan(value) else value)

    def forecast(self, steps):
        made = self.model.forward(self.seen, h=steps, level=[90])
        mean = np.asarray(made["mean"], dtype=float)
        return from_normal(mean, (np.asarray(made["hi-90"]) - mean) / norm.ppf(0.95))


def filled(values):
    """Gaps by the value of the day before: statsforecast takes none."""
    values = np.array(values, dtype=float)
    for t in np.flatnonzero(np.isnan(values)):
        values[t] = values[t - DAY] if t >= DAY else np.nanmean(values)
    return values


METHODS = {
    "statsmodels Holt-Winters": HoltWinters,
    "statsmodels SARIMAX(2,0,1)(0,1,1,24)": Sarimax,
    "statsforecast AutoETS": lambda: StatsForecast(lambda: AutoETS(season_length=DAY)),
    "statsforecast MSTL(24, 168)": lambda: StatsForecast(lambda: MSTL(season_length=[DAY, 7 * DAY])),
}


def read_series(path):
    """Path by path: the values (NaN for a gap) and how many of them are for training."""
    series = defaultdict(lambda: ([], 0))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            assert float(row["step_seconds"]) == HOUR, "this script compares steps of an hour"
            values, n_train = series[row["workload"], row["path"]]
            values.append(float(row["rate"] or "nan"))
            series[row["workload"], row["path"]] = (values, n_train + (row["part"] == "training"))
    return {key: (np.array(values), n_train) for key, (values, n_train) in series.items()}


def score(values, n_train, method):
    """Errors by horizon, and how long fits took."""
    scale = np.nanmean(np.abs(values[DAY:n_train] - values[: n_train - DAY]))
    fits, sums = [], {name: [] for name in HORIZONS}
    longest = max(HORIZONS.values())
    for origin in range(n_train, len(values)):
        if (origin - n_train) % DAY == 0:
            begun = time.process_time()
            method.fit(values[:origin])
            fits.append(1e3 * (time.process_time() - begun))
        else:
            method.observe(values[origin - 1])
        if origin + longest >= len(values):
            break
        quantiles = method.forecast(longest)
        for name, steps in HORIZONS.items():
            value, said = values[origin + steps - 1], quantiles[steps - 1]
            if math.isnan(value):
                continue
            error = value - said
            sums[name].append(
                (
                    abs(error[4]) / scale,
                    np.mean(np.maximum(LEVELS * error, (LEVELS - 1) * error)) / scale,
                    said[1] <= value <= said[7],
                    (said[7] - said[1]) / scale,
                )
            )
    return sums, fits


def ours(folder):
    """Rows of `backtest`, its days put together, and the times of its fits."""
    names = {steps * HOUR: name for name, steps in HORIZONS.items()}
    sums, fits = defaultdict(list), defaultdict(list)
    with open(os.path.join(folder, "runs.csv"), newline="") as file:
        for row in csv.DictReader(file):
            scores = [float(row[it]) for it in ("mase", "pinball", "coverage_90", "width_90")]
            name = names.get(float(row["horizon_seconds"]))
            sums[row["workload"], row["method"], name].append((float(row["values"]), scores))
    with open(os.path.join(folder, "timings.csv"), newline="") as file:
        for row in csv.DictReader(file):
            _, workload, method, _ = row["run"].split("/")
            fits[workload, method].append(float(row["fit_first_ms"]))
    for (workload, method, horizon), days in sums.items():
        weights = np.array([weight for weight, _ in days])
        means = np.average(np.array([scores for _, scores in days]), axis=0, weights=weights)
        yield workload, f"tidegate {method}", horizon, means, statistics.median(fits[workload, method])


def main():
    folder, out = sys.argv[1:3]
    warnings.simplefilter("ignore")
    rows = list(ours(folder))
    series = read_series(os.path.join(folder, "series.csv"))
    for name, make in METHODS.items():
        # Compiles what is compiled at run time.
        warmed = make()
        warmed.fit(next(iter(series.values()))[0][: 8 * DAY])
        pooled, fits = defaultdict(lambda: defaultdict(list)), defaultdict(list)
        for (workload, _), (values, n_train) in series.items():
            sums, times = score(values, n_train, make())
            fits[workload] += times[:1]
            for horizon, scores in sums.items():
                pooled[workload][horizon] += scores
            print(f"{name}, {workload}: {len(times)} fits, median {statistics.median(times):.0f} ms", file=sys.stderr)
        for workload, horizons in pooled.items():
            for horizon, scores in horizons.items():
                means = np.mean(np.array(scores, dtype=float), axis=0)
                rows.append((workload, name, horizon, means, statistics.median(fits[workload])))
    with open(out, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["workload", "method", "horizon", "mase", "pinball", "coverage_90", "width_90", "fit_ms"])
        for workload, method, horizon, means, fit in rows:
            table.writerow([workload, method, horizon, *(f"{it:.4f}" for it in means), f"{fit:.3g}"])
    for workload in sorted({row[0] for row in rows}):
        print(f"\n{workload}\n{'method':<40}{'MASE 1h':>9}{'4h':>7}{'1d':>7}{'cov 1h':>8}{'4h':>7}{'1d':>7}{'fit ms':>10}")
        for method in dict.fromkeys(row[1] for row in rows if row[0] == workload):
            found = {row[2]: row for row in rows if row[:2] == (workload, method)}
            mase = "".join(f"{found[h][3][0]:>{w}.3f}" for h, w in zip(HORIZONS, (9, 7, 7)) if h in found)
            cover = "".join(f"{found[h][3][2]:>{w}.3f}" for h, w in zip(HORIZONS, (8, 7, 7)) if h in found)
            print(f"{method:<40}{mase}{cover}{next(iter(found.values()))[4]:>10.3g}")


if __name__ == "__main__":
    main()
