"""Writes the golden episodes that the tests of the classic environments compare with.

    pip install gymnasium==1.4.0 numpy==2.4.6 && python dump.py

One file an environment. An episode is a line of actions, one digit a step, then lines `step state...`: the
state at the start, after every twentieth step and at the end, as the shortest decimals that give the same f64.
"""

import gymnasium
import numpy as np


def random_policy(rng, n_actions):
    return lambda state: int(rng.integers(n_actions))


def balance(rng, _):
    """Keeps the pole up to the time limit."""
    return lambda s: int(0.1 * s[0] + 0.3 * s[1] + 2.0 * s[2] + s[3] > 0.0)


def pump(rng, _):
    """Pushes the way the car moves, which reaches the goal."""
    return lambda s: 2 if s[1] >= 0.0 else 0


def swing(rng, _):
    """Torque with the first joint's velocity, now and then at random."""
    return lambda s: int(rng.integers(3)) if rng.random() < 0.1 else (2 if s[2] < 0.0 else 0)


def episode(env, seed, policy):
    env.reset(seed=seed)
    rng = np.random.default_rng(1000 + seed)
    act = policy(rng, int(env.action_space.n))
    state = np.array(env.unwrapped.state, dtype=np.float64)
    actions, states, total = [], [(0, state)], 0.0
    while True:
        action = act(state)
        _, reward, terminated, truncated, _ = env.step(action)
        actions.append(str(action))
        total += reward
        state = np.array(env.unwrapped.state, dtype=np.float64)
        over = terminated or truncated
        if over or len(actions) % 20 == 0:
            states.append((len(actions), state))
        if over:
            break
    end = "terminated" if terminated else "truncated"
    lines = [f"episode {end} return {total!r}", "".join(actions)]
    lines += [" ".join([str(step)] + [repr(float(x)) for x in state]) for step, state in states]
    return lines


def dump(name, file, policies):
    env = gymnasium.make(name)
    lines = [f"# {name}, gymnasium {gymnasium.__version__}, numpy {np.__version__}; written by dump.py"]
    for seed, policy in enumerate(policies):
        lines += episode(env, seed, policy)
    with open(file, "w") as out:
        out.write("\n".join(lines) + "\n")


dump("CartPole-v1", "cart_pole.txt", [random_policy] * 6 + [balance] * 2)
dump("MountainCar-v0", "mountain_car.txt", [random_policy] * 2 + [pump] * 3)
dump("Acrobot-v1", "acrobot.txt", [random_policy] * 2 + [swing] * 3)
