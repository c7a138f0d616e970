//! Episodes that Gymnasium itself played (`dump.py` says how), to be played again.

use tidegate_core::{Env, StepEnd};

/// One episode of one environment.
pub struct Episode {
    actions: Vec<usize>,
    states: Vec<(usize, Vec<f64>)>,
    total_reward: f64,
    end: StepEnd,
}

/// All episodes of one file.
pub fn episodes(text: &str) -> Vec<Episode> {
    let mut episodes: Vec<Episode> = Vec::new();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] == "episode" {
            let end = if words[1] == "terminated" { StepEnd::Terminated } else { StepEnd::Truncated };
            let actions = lines.next().expect("actions follow the head");
            episodes.push(Episode {
                actions: actions.bytes().map(|digit| usize::from(digit - b'0')).collect(),
                states: Vec::new(),
                total_reward: words[3].parse().expect("a number"),
                end,
            });
        } else {
            let state = words[1..].iter().map(|word| word.parse().expect("a number")).collect();
            let episode = episodes.last_mut().expect("a head comes first");
            episode.states.push((words[0].parse().expect("a step"), state));
        }
    }
    assert!(episodes.len() >= 5, "the file holds several episodes");
    episodes
}

impl Episode {
    /// The first state.
    pub fn start<const N: usize>(&self) -> [f64; N] {
        self.states[0].1.as_slice().try_into().expect("a state of that many numbers")
    }

    /// Plays the actions again; the largest difference of any stored number. Rewards and ends must be equal.
    pub fn follow<E: Env<Action = usize>, const N: usize>(
        &self,
        env: &mut E,
        state: impl Fn(&E) -> [f64; N],
    ) -> f64 {
        let (mut total_reward, mut apart) = (0.0, 0.0_f64);
        let mut stored = self.states[1..].iter();
        let mut next = stored.next();
        for (index, &action) in self.actions.iter().enumerate() {
            let step = env.step(action);
            total_reward += step.reward;
            let is_last = index + 1 == self.actions.len();
            assert_eq!(step.end, is_last.then_some(self.end), "after step {}", index + 1);
            if let Some((_, expected)) = next.filter(|(at, _)| *at == index + 1) {
                for (mine, theirs) in state(env).iter().zip(expected) {
                    apart = apart.max((mine - theirs).abs());
                }
                next = stored.next();
            }
        }
        assert!(next.is_none(), "every stored state is compared");
        assert_eq!(total_reward, self.total_reward);
        apart
    }
}
