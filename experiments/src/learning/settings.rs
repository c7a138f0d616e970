//! Options of the learner by preset and environment.
//!
//! Classic environments take the presets of `tidegate_dqn` as they were published. For a service the base is double
//! Q-learning over three steps, sized for some hundred thousand steps of a minute; the other presets take from it or add to it.
//! docs/learning.md has the table; a preset joins with one line in [`Preset`] and its options here.

use anyhow::bail;
use clap::ValueEnum;
use tidegate_core::{SECONDS_PER_HOUR, Scenario};
use tidegate_dqn::{Exploration, Options, TargetUpdate};
use tidegate_net::{Pointwise, Schedule};

use crate::learning::agent::Sees;
use crate::learning::environment::{Service, Task};

/// Which extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Deep Q-learning as first published.
    Dqn,
    /// With double Q-learning; on a service also with three steps.
    Double,
    /// All extensions of Rainbow.
    Rainbow,
    /// What Stable-Baselines3's zoo tuned; cart-pole, acrobot and mountain-car only.
    Zoo,
    /// Ours: dueling streams, several steps and a learning rate that falls to 0; on top of `double` on a service, else of
    /// `zoo`, or of `dqn` where there is none.
    Steady,
}

impl Preset {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dqn => "dqn",
            Self::Double => "double",
            Self::Rainbow => "rainbow",
            Self::Zoo => "zoo",
            Self::Steady => "steady",
        }
    }
}

/// Simulated hours of a run of `autoscale` unless said otherwise: as many as a rule has to be tuned in.
const SERVICE_HOURS: f64 = 5_000.0;

/// Steps of a run of `source` unless said otherwise.
const SOURCE_STEPS: u64 = 300_000;

/// The options of `preset` on `task`, for so many steps or as many as belong to it.
///
/// # Errors
/// If there is no such preset for the environment.
pub fn options(task: &Task, preset: Preset, steps: Option<u64>) -> anyhow::Result<Options> {
    match task {
        Task::Classic(name) => classic(name, preset, steps),
        Task::Service(it) => service(it, preset, steps),
    }
}

fn classic(name: &str, preset: Preset, steps: Option<u64>) -> anyhow::Result<Options> {
    // Least and most discounted return, for the grid of Rainbow; and the steps of the zoo's runs.
    let (default_steps, least, most) = match name {
        "cart-pole" => (50_000, 0.0, 100.0),
        "acrobot" => (100_000, -100.0, 0.0),
        "mountain-car" => (120_000, -100.0, 0.0),
        _ => (20_000, 0.0, 1.0),
    };
    let steps = steps.unwrap_or(default_steps);
    let options = match preset {
        Preset::Dqn => Options::dqn(steps),
        Preset::Double => Options::double(steps),
        Preset::Rainbow => Options::rainbow(steps, least, most),
        Preset::Zoo => {
            let tuned = match name {
                "cart-pole" => Options::zoo_cart_pole(),
                "acrobot" => Options::zoo_acrobot(),
                "mountain-car" => Options::zoo_mountain_car(),
                _ => bail!(
                    "--preset zoo: there are tuned settings for cart-pole, acrobot and mountain-car only"
                ),
            };
            Options { steps, ..tuned }
        }
        Preset::Steady if name == "cart-pole" => Options { steps, ..Options::steady() }.steadied(),
        Preset::Steady => {
            let zoo = classic(name, Preset::Zoo, Some(steps));
            zoo.unwrap_or_else(|_| Options::dqn(steps)).steadied()
        }
    };
    if name == "chain" {
        // Its values are known for this discount, and it is too small for a network of two layers.
        let discount = tidegate_envs::chain::DISCOUNT;
        return Ok(Options { discount, hidden: vec![32], ..options });
    }
    Ok(options)
}

fn service(service: &Service, preset: Preset, steps: Option<u64>) -> anyhow::Result<Options> {
    let step_seconds = service.access.step_seconds();
    let in_minutes = |minutes: f64| ((60.0 * minutes / step_seconds).round() as usize).max(1);
    let sees = service.access.sees;
    let steps = steps.unwrap_or(match sees {
        Sees::Rich => (SERVICE_HOURS * SECONDS_PER_HOUR / step_seconds).round() as u64,
        Sees::Source => SOURCE_STEPS,
    });
    let base = Options {
        // What is ten minutes away counts 1/e: a start-up and what follows from it, or the bound where that is longer. Later
        // steps choose anew how much fleet there is above the load, so that little else hangs on this one; one replica
        // a tick adds up for longer.
        discount: match sees {
            Sees::Rich => {
                let bound_seconds = service.study.scenario().level.bound_seconds;
                (-step_seconds / bound_seconds.max(600.0)).exp()
            }
            Sees::Source => 0.97,
        },
        hidden: vec![64, 64],
        batch: 64,
        capacity: 200_000,
        learning_starts: (steps / 20).min(5_000),
        train_every: match sees {
            Sees::Rich => in_minutes(4.0) as u64,
            Sees::Source => 4,
        },
        learning_rate: Schedule::Constant(5e-4),
        // Rewards are in replicas: below a thousand of them errors count by their square, so that rare penalties are not
        // taken for outliers, and above it not, so that an overload does not drown all else.
        loss: match sees {
            Sees::Rich => Pointwise::Huber { threshold: 1000.0 },
            Sees::Source => Pointwise::Huber { threshold: 1.0 },
        },
        exploration: Exploration { from: 1.0, to: 0.05, fraction: 1.0 / 3.0 },
        target: TargetUpdate::Hard { every: 1_000 },
        ..Options::dqn(steps)
    };
    let n_steps = match sees {
        Sees::Rich => in_minutes(3.0),
        Sees::Source => 3,
    };
    let double = Options { double: true, n_steps, ..base.clone() };
    Ok(match preset {
        Preset::Dqn => base,
        Preset::Double => double,
        Preset::Rainbow => {
            let (least, most) = returns(service, base.discount);
            let Options { dueling, prioritized, noisy, head, exploration, adam, .. } =
                Options::rainbow(steps, least, most);
            Options { dueling, prioritized, noisy, head, exploration, adam, ..double }
        }
        Preset::Steady => Options { dueling: true, ..double }.rate_to_0(),
        Preset::Zoo => {
            bail!("--preset zoo: there are tuned settings for cart-pole, acrobot and mountain-car only")
        }
    })
}

/// Least and most discounted return that the grid of Rainbow spans: a quarter of the largest fleet idle for ever, or three
/// times the largest fleet's price where rewards are dollars; what is worse is taken for it.
fn returns(service: &Service, discount: f64) -> (f64, f64) {
    let scenario: &Scenario = service.study.scenario();
    let steps = 1.0 / (1.0 - discount);
    let most: f64 = scenario.pools.iter().map(|pool| f64::from(pool.bounds.replicas_max)).sum();
    match service.access.sees {
        Sees::Rich => (-most / 4.0 * steps, most / 20.0 * steps),
        Sees::Source => {
            let hours = service.access.step_seconds() / SECONDS_PER_HOUR;
            let dollars: f64 = scenario
                .pools
                .iter()
                .map(|pool| f64::from(pool.bounds.replicas_max) * pool.dollars_per_replica_hour)
                .sum();
            // A service without a price of its own still has penalties.
            (-3.0 * (dollars * hours).max(1e-3) * steps, 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::environment::CLASSICS;

    #[test]
    fn every_preset_can_be_meant_where_there_is_one() {
        let services = ["autoscale/web-diurnal", "source/web-diurnal", "autoscale/spot-mix"];
        for name in CLASSICS.iter().chain(&services) {
            let task = Task::named(name, true).expect("it is there");
            for preset in Preset::value_variants() {
                let said = options(&task, *preset, Some(2_000));
                let has = *preset != Preset::Zoo || (CLASSICS.contains(name) && *name != "chain");
                assert_eq!(said.is_ok(), has, "{name}, {preset:?}");
                if let Ok(options) = said {
                    assert_eq!((options.check(), options.steps), (Ok(()), 2_000), "{name}, {preset:?}");
                }
            }
        }
    }

    #[test]
    fn what_counts_in_minutes_does_not_depend_on_the_period() {
        let of = |name, period_seconds| {
            let task = Task::named(name, false).and_then(|task| task.every(period_seconds));
            options(&task.expect("it is there"), Preset::Steady, None).expect("it is there")
        };
        let (minute, half) = (of("autoscale/flash-crowd", 60.0), of("autoscale/flash-crowd", 30.0));
        assert_eq!((minute.steps, minute.n_steps, minute.train_every), (300_000, 3, 4));
        assert_eq!((half.steps, half.n_steps, half.train_every), (600_000, 6, 8));
        assert!((half.discount.powi(2) - minute.discount).abs() < 1e-12);
        // A bound of half an hour is longer than ten minutes.
        let patient = of("autoscale/batch-queue", 60.0);
        assert!((patient.discount - (-60.0_f64 / 1800.0).exp()).abs() < 1e-12, "{}", patient.discount);
    }

    #[test]
    fn rainbow_on_a_service_adds_to_what_double_has() {
        let task = Task::named("autoscale/web-diurnal", true).expect("it is there");
        let of = |preset| options(&task, preset, None).expect("it is there");
        let (double, rainbow) = (of(Preset::Double), of(Preset::Rainbow));
        assert_eq!((double.double, double.n_steps, double.steps), (true, 3, 300_000));
        let Options { dueling, prioritized, noisy, head, exploration, adam, .. } = rainbow.clone();
        assert!(dueling && prioritized.is_some() && noisy.is_some());
        assert_eq!(Options { dueling, prioritized, noisy, head, exploration, adam, ..double }, rainbow);
        assert_eq!(of(Preset::Dqn).n_steps, 1);
        let steady = of(Preset::Steady);
        assert_eq!((steady.double, steady.dueling, steady.n_steps), (true, true, 3));
        let last = steady.gradient_steps_total();
        assert_eq!((steady.learning_rate.at(0), steady.learning_rate.at(last)), (5e-4, 0.0));
    }
}
