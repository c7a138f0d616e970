//! [`tidegate_core::vector`] on real environments.

use std::collections::BTreeSet;

use tidegate_core::vector::{COPIES_MAX, VectorEnv, episode_seed};
use tidegate_core::{Env, Seed};
use tidegate_envs::{CartPole, Chain};

/// Actions that differ from copy to copy and step to step.
fn action(copy: usize, step: usize) -> usize {
    (copy * 7 + step * 5 + step / 3) % 2
}

#[test]
fn copies_play_what_single_environments_play() {
    let seed = Seed::training(3);
    let mut vector = VectorEnv::new(vec![CartPole::new(); 5]);
    let mut singles = vec![CartPole::new(); 5];
    let mut episodes = [0; 5];
    let first = vector.reset(seed);
    for (copy, single) in singles.iter_mut().enumerate() {
        assert_eq!(&first[copy * 4..][..4], single.reset(episode_seed(seed, copy, 0)));
    }
    let mut n_ends = 0;
    for step in 0..500 {
        let actions: Vec<usize> = (0..5).map(|copy| action(copy, step)).collect();
        let batch = vector.step(&actions);
        for (copy, single) in singles.iter_mut().enumerate() {
            let expected = single.step(actions[copy]);
            assert_eq!(batch.rewards[copy], expected.reward);
            assert_eq!(batch.ends[copy], expected.end);
            assert_eq!(batch.next_observation(copy), expected.observation);
            assert_eq!(batch.final_info(copy), expected.end.map(|_| single.info()));
            if expected.end.is_some() {
                n_ends += 1;
                episodes[copy] += 1;
                let reset = single.reset(episode_seed(seed, copy, episodes[copy]));
                assert_eq!(batch.observation(copy), reset);
            } else {
                assert_eq!(batch.observation(copy), batch.next_observation(copy));
            }
        }
    }
    assert!(n_ends > 20, "only {n_ends} episodes ended");
}

#[test]
fn a_copy_plays_the_same_whatever_the_others_do() {
    let play = |n_copies: usize, others: usize| {
        let mut vector = VectorEnv::new(vec![Chain::new(); n_copies]);
        let mut seen = vector.reset(Seed::evaluation(8))[..5].to_vec();
        for step in 0..100 {
            let mut actions = vec![others; n_copies];
            actions[0] = action(0, step);
            seen.extend_from_slice(vector.step(&actions).observation(0));
        }
        seen
    };
    assert_eq!(play(1, 0), play(7, 0));
    assert_eq!(play(7, 0), play(7, 1));
}

#[test]
fn a_step_allocates_nothing_even_where_it_resets() {
    let mut vector = VectorEnv::new(vec![CartPole::new(); 5]);
    vector.reset(Seed::training(0));
    let mut n_ends = 0;
    let allocated = allocation_counter::measure(|| {
        for _ in 0..200 {
            n_ends += vector.step(&[1; 5]).ends.iter().flatten().count();
        }
    });
    assert!(n_ends > 50, "only {n_ends} episodes ended");
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn no_two_episodes_share_a_world_and_splits_never_meet() {
    let mut worlds = BTreeSet::new();
    for base in [0, 1, 2, (1 << 19) - 1] {
        for copy in [0, 1, COPIES_MAX - 1] {
            for episode in [0, 1, (1 << 32) - 1] {
                for seed in [Seed::training(base), Seed::evaluation(base)] {
                    let world = episode_seed(seed, copy, episode);
                    assert_eq!(world.split(), seed.split());
                    assert!(worlds.insert(world), "{world} comes twice");
                }
            }
        }
    }
}
