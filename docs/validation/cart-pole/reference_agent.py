"""Stable-Baselines3's DQN on CartPole-v1 by the zoo's tuned settings, and how its share of good seeds differs from ours.

    cargo run --release --bin train -- --env cart-pole --preset zoo --seeds 20
    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python reference_agent.py train reference.csv --seeds 20 --jobs 2
    venv/bin/python reference_agent.py compare reference.csv ../../../results/train/cart-pole-zoo/runs.csv

`train` adds a row for every seed that the file does not have yet: the mean return of the final greedy policy over 100
episodes, and the CPU seconds of learning. One thread a process. `compare` prints, for both, how many seeds reach 475 and
Newcombe's interval of the difference of the shares (Statistics in Medicine 17, 1998, method 10, without continuity
correction), and the two means of CPU seconds where the reference has them.
"""

import argparse
import csv
import math
import multiprocessing
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

THRESHOLD = 475.0
EPISODES = 100
Z = 1.959963984540054  # 97.5 % quantile of the normal distribution

# rl-baselines3-zoo, hyperparams/dqn.yml, CartPole-v1.
STEPS = 50_000
TUNED = dict(
    learning_rate=2.3e-3,
    batch_size=64,
    buffer_size=100_000,
    learning_starts=1_000,
    gamma=0.99,
    target_update_interval=10,
    train_freq=256,
    gradient_steps=128,
    exploration_fraction=0.16,
    exploration_final_eps=0.04,
    policy_kwargs=dict(net_arch=[256, 256]),
)


def learnt(seed):
    """Mean return of the final greedy policy of a seed, and CPU seconds of learning."""
    import gymnasium
    import torch
    from stable_baselines3 import DQN
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    agent = DQN("MlpPolicy", Monitor(gymnasium.make("CartPole-v1")), seed=seed, device="cpu", **TUNED)
    start = time.process_time()
    agent.learn(STEPS)
    seconds = time.process_time() - start
    evaluation = Monitor(gymnasium.make("CartPole-v1"))
    evaluation.reset(seed=1_000_000)
    mean, _ = evaluate_policy(agent, evaluation, n_eval_episodes=EPISODES, deterministic=True)
    return seed, mean, seconds


def train(path, seeds, jobs):
    """Learns with the seeds that the file lacks, and writes each as it ends."""
    done = {}
    if path.exists():
        with path.open() as file:
            done = {int(row["training_seed"]): row for row in csv.DictReader(file)}
    missing = [seed for seed in range(seeds) if seed not in done]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for seed, mean, seconds in pool.imap_unordered(learnt, missing):
            row = dict(training_seed=seed, mean_return=f"{mean:.2f}", cpu_seconds=f"{seconds:.1f}")
            print(row, flush=True)
            done[seed] = row
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, ["training_seed", "mean_return", "cpu_seconds"], lineterminator="\n")
                writer.writeheader()
                writer.writerows(done[seed] for seed in sorted(done))


def wilson(good, all_of_them):
    """Wilson's score interval of a share."""
    share = good / all_of_them
    scale = 1 + Z * Z / all_of_them
    middle = (share + Z * Z / (2 * all_of_them)) / scale
    half = Z * math.sqrt(share * (1 - share) / all_of_them + Z * Z / (4 * all_of_them**2)) / scale
    return middle - half, middle + half


def newcombe(ours, theirs):
    """The difference of two shares (good, all) and its interval."""
    p, q = ours[0] / ours[1], theirs[0] / theirs[1]
    (p_least, p_most), (q_least, q_most) = wilson(*ours), wilson(*theirs)
    least = p - q - math.hypot(p - p_least, q_most - q)
    most = p - q + math.hypot(p_most - p, q - q_least)
    return p - q, least, most


def compare(reference, ours):
    """Prints both shares and the interval of the difference."""
    with reference.open() as file:
        rows = list(csv.DictReader(file))
    theirs = {int(row["training_seed"]): float(row["mean_return"]) for row in rows}
    episodes = defaultdict(list)
    with ours.open() as file:
        for row in csv.DictReader(file):
            episodes[int(row["training_seed"])].append(float(row["total"]))
    our_means = {seed: statistics.fmean(totals) for seed, totals in episodes.items()}
    counts = []
    for name, means in (("Tidegate", our_means), ("Stable-Baselines3", theirs)):
        good = sum(mean >= THRESHOLD for mean in means.values())
        counts.append((good, len(means)))
        worst = ", ".join(f"{mean:.1f}" for mean in sorted(means.values()) if mean < THRESHOLD)
        print(f"{name}: {good} of {len(means)} seeds reach {THRESHOLD:.0f}; the others: {worst or 'none'}")
    difference, least, most = newcombe(*counts)
    print(f"difference of the shares {difference:+.2f}, 95 % interval {least:+.2f} to {most:+.2f}")
    seconds = [float(row["cpu_seconds"]) for row in rows]
    print(f"reference: {statistics.median(seconds):.0f} CPU seconds a run in the median, {min(seconds):.0f} at least")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("train")
    one.add_argument("reference", type=Path)
    one.add_argument("--seeds", type=int, default=20)
    one.add_argument("--jobs", type=int, default=1)
    two = commands.add_parser("compare")
    two.add_argument("reference", type=Path)
    two.add_argument("ours", type=Path)
    args = parser.parse_args()
    if args.command == "train":
        train(args.reference, args.seeds, args.jobs)
    else:
        compare(args.reference, args.ours)


if __name__ == "__main__":
    main()
