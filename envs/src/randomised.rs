//! Variants of one environment: each episode is played in one of them, drawn by the seed.
//!
//! Domain randomisation (Tobin et al., "Domain randomization for transferring deep neural networks from simulation to the
//! real world", IROS 2017): what an agent learns on many services of one kind holds on one that differs a little from
//! all of them. The agent is not told which variant it is in.

use tidegate_core::{Env, Seed, Spec, Step, Stream};

/// Environments of one spec, of which the seed of an episode chooses one.
///
/// The variant of a seed is `key(EnvReset).index(PLACE, 0, n)`, so it is a function of the seed; the seed is passed on.
#[derive(Clone, Debug)]
pub struct Randomised<E> {
    variants: Vec<E>,
    chosen: usize,
}

/// Where in the hash the choice lies; classic environments take the stream as a sequence and environments inside may hash
/// small numbers.
const PLACE: u64 = u64::from_be_bytes(*b"variants");

impl<E: Env> Randomised<E> {
    /// These variants; before the first reset the first one is shown.
    ///
    /// # Panics
    /// If there are none, or their specs differ.
    pub fn new(variants: Vec<E>) -> Self {
        assert!(!variants.is_empty(), "there is at least one variant");
        let is_alike = |env: &E| env.spec() == variants[0].spec();
        assert!(variants.iter().all(is_alike), "all variants must have the same spec");
        Self { variants, chosen: 0 }
    }

    /// Which variant the seed of an episode chooses.
    fn choice(&self, seed: Seed) -> usize {
        seed.key(Stream::EnvReset).index(PLACE, 0, self.variants.len())
    }

    /// The variant of the present episode.
    fn present(&self) -> &E {
        &self.variants[self.chosen]
    }
}

impl<E: Env> Env for Randomised<E> {
    type Action = E::Action;
    type Observation = E::Observation;
    type Info = E::Info;

    fn spec(&self) -> &Spec {
        self.present().spec()
    }

    fn reset(&mut self, seed: Seed) -> Self::Observation {
        self.chosen = self.choice(seed);
        self.variants[self.chosen].reset(seed)
    }

    #[inline]
    fn step(&mut self, action: Self::Action) -> Step<Self::Observation> {
        self.variants[self.chosen].step(action)
    }

    fn info(&self) -> &Self::Info {
        self.present().info()
    }

    fn allowed(&self, mask: &mut [bool]) {
        self.present().allowed(mask);
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::Scenario;
    use tidegate_core::scenario::EXAMPLE;
    use tidegate_sim::fluid::FluidPlant;

    use super::*;
    use crate::{Autoscale, AutoscaleOptions, CartPole, Chain, SourceView, conformance};

    #[test]
    fn variants_of_one_environment_conform() {
        conformance::check(|| Randomised::new(vec![CartPole::new(); 3])).unwrap();
        conformance::check(|| Randomised::new(vec![Chain::new()])).unwrap();
    }

    #[test]
    fn every_variant_comes_about_equally_often_and_a_seed_has_one() {
        let mut env = Randomised::new(vec![CartPole::new(); 5]);
        let mut counts = [0; 5];
        for seed in (0..2_000).map(Seed::training) {
            let alone = CartPole::new().reset(seed);
            assert_eq!(env.reset(seed), alone, "the seed is passed on");
            assert_eq!(env.chosen, env.choice(seed));
            counts[env.chosen] += 1;
        }
        // Expected 400 with a standard deviation of 18.
        assert!(counts.iter().all(|count| (310..490).contains(count)), "{counts:?}");
    }

    #[test]
    #[should_panic(expected = "all variants must have the same spec")]
    fn services_that_are_called_differently_are_no_variants() {
        let scenario = Scenario::parse(EXAMPLE).expect("the example is right");
        let other = Scenario { name: "other".into(), ..scenario.clone() };
        let env = |scenario: &Scenario| {
            let view = SourceView::new(&scenario.facts(), 1.0);
            Autoscale::new(FluidPlant::new(scenario), view, scenario, AutoscaleOptions::default())
                .expect("the options fit")
        };
        Randomised::new(vec![env(&scenario), env(&other)]);
    }
}
