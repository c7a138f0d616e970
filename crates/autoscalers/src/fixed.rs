//! A fixed fleet: so many replicas, whatever happens. The baseline that every controller has to beat.

use serde::{Deserialize, Serialize};
use tidegate_core::locate::FieldError;
use tidegate_core::{Controller, ControllerStream, Decision, Observation, OperatorFacts, Reason, Replicas};

use crate::catalog::{About, Parameter, Rule};
use crate::rule::{ActingPool, POOL, wrong};

/// What can be set.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The pool it acts on; default the first.
    pub pool: Option<String>,
    /// How many; default what the pool starts with.
    pub replicas: Option<Replicas>,
}

/// The controller.
#[derive(Clone, Debug)]
pub struct Fixed {
    pool: ActingPool,
    replicas: Replicas,
}

impl Rule for Fixed {
    type Parameters = Parameters;

    const ABOUT: About = About {
        kind: "fixed",
        summary: "A fixed fleet: so many replicas, whatever happens.",
        source: "the baseline of any study of autoscaling",
        parameters: &[
            POOL,
            Parameter::new(
                "replicas",
                "replicas",
                "(the pool's initial count)",
                "How many, within the bounds.",
            ),
        ],
    };

    fn check(_parameters: &Parameters) -> Result<(), FieldError> {
        Ok(())
    }

    fn new(facts: &OperatorFacts, parameters: &Parameters) -> Result<Self, FieldError> {
        let pool = ActingPool::find(parameters.pool.as_deref(), facts)?;
        let known = pool.facts(facts);
        let replicas = parameters.replicas.unwrap_or(known.replicas_initial);
        let (least, most) = (known.bounds.replicas_min, known.bounds.replicas_max);
        if !(least..=most).contains(&replicas) {
            return Err(wrong("replicas", format!("must be {least} to {most}, but is {replicas}")));
        }
        Ok(Self { pool, replicas })
    }
}

impl Controller for Fixed {
    /// It says the same again and again, so seldom is enough.
    fn period_seconds(&self) -> f64 {
        3600.0
    }

    fn reset(&mut self, _chance: ControllerStream) {}

    fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        self.pool.decide(observation, self.replicas, Reason::new("fixed fleet"))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use toml::Table;

    use crate::catalog::Catalog;
    use crate::testing::{self, Desk, wanted_by_cpu};

    #[test]
    fn it_wants_the_same_whatever_happens() {
        assert_eq!(wanted_by_cpu("fixed", "", &[0.1, 1.0, f64::NAN]), "4 4 4");
        assert_eq!(wanted_by_cpu("fixed", "replicas = 9", &[0.1, 1.0, f64::NAN]), "9 9 9");
    }

    #[test]
    fn the_other_pools_keep_theirs() {
        let facts = testing::facts_of_two_pools();
        let mut desk = Desk::new(&facts);
        desk.pools[0].declared = 7;
        let decision =
            desk.decide(&mut *testing::controller("fixed", "pool = \"spot\"\nreplicas = 2", &facts));
        assert_eq!(decision.targets.iter().map(|target| target.wanted).collect::<Vec<_>>(), [7, 2]);
    }

    #[test]
    fn a_count_outside_the_bounds_is_refused() {
        let parameters: Table = "replicas = 30".parse().expect("this is TOML");
        let error =
            Catalog::rules().build("fixed", &parameters, &testing::facts()).err().expect("20 is most");
        expect!["`replicas` must be 1 to 20, but is 30"].assert_eq(&error.to_string());
    }
}
