//! What a run is: the same bits from the same seed, stopped or not, without allocating; and what stops it.

use expect_test::{Expect, expect};
use tidegate_core::{Env, Quantity, Seed, Space, Spec, Step, StepEnd};
use tidegate_dqn::{
    CheckpointError, Exploration, Head, Learning, LearningError, Munchausen, Noisy, Options, Policy,
    Prioritized, Progress, TargetUpdate,
};
use tidegate_envs::{CartPole, Chain, MountainCar};
use tidegate_net::{Pointwise, Schedule};

/// All extensions at once, small; the replay is overwritten within a run.
fn everything() -> Options {
    Options {
        munchausen: Some(Munchausen::default()),
        exploration: Exploration { from: 1.0, to: 0.1, fraction: 0.5 },
        target: TargetUpdate::Hard { every: 20 },
        hidden: vec![16, 16],
        batch: 8,
        capacity: 200,
        learning_starts: 50,
        ..Options::rainbow(600, 0.0, 100.0)
    }
}

fn quantiles() -> Options {
    Options {
        head: Head::Quantile { quantiles: 5, kappa: 1.0 },
        target: TargetUpdate::Soft { share: 0.01 },
        prioritized: None,
        noisy: None,
        dueling: false,
        ..everything()
    }
}

fn start(options: &Options, n_copies: usize, seed: u64) -> Learning<CartPole> {
    Learning::new(options.clone(), vec![CartPole::new(); n_copies], Seed::training(seed))
        .expect("it can start")
}

fn rest<E: Env<Action = usize, Info: Clone>>(learning: &mut Learning<E>) -> Vec<Progress> {
    learning.map(|progress| progress.expect("finite numbers")).collect()
}

#[test]
fn a_run_that_was_stopped_ends_with_the_same_bits() {
    for (options, n_copies) in [(everything(), 3), (everything(), 1), (quantiles(), 2)] {
        let mut whole = start(&options, n_copies, 4);
        let told = rest(&mut whole);
        assert_eq!(told.len(), 600);
        let end = whole.to_bytes();
        // Before the first step, before learning starts, within a step of all copies, within an episode, at the end.
        for stop in [0, 7, 50, 301, 458, 599, 600] {
            let mut first = start(&options, n_copies, 4);
            first.by_ref().take(stop).for_each(drop);
            let kept = first.to_bytes();
            drop(first);
            let envs = vec![CartPole::new(); n_copies];
            let mut second = Learning::from_bytes(&kept, options.clone(), envs).expect("it was kept");
            assert_eq!(second.to_bytes(), kept);
            assert_eq!(rest(&mut second), told[stop..], "stopped at {stop}");
            assert!(second.to_bytes() == end, "stopped at {stop}, {n_copies} copies");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_whatever_else_runs() {
    let learn = |seed: u64| {
        let mut learning = start(&everything(), 2, seed);
        rest(&mut learning);
        learning.to_bytes()
    };
    let alone = learn(1);
    let both = std::thread::scope(|scope| {
        let threads = [1, 2].map(|seed| scope.spawn(move || learn(seed)));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    assert!(alone == both[0]);
    assert!(alone != both[1]);
}

#[test]
fn a_step_allocates_nothing_once_learning_has_begun() {
    for options in [everything(), quantiles(), Options { steps: 600, ..Options::dqn(600) }] {
        let mut learning = start(&options, 3, 2);
        let begins = |progress: &Progress| progress.update.is_some();
        assert!(learning.by_ref().map(|it| it.expect("finite numbers")).any(|it| begins(&it)));
        let (mut n_episodes, mut n_updates) = (0, 0);
        let allocated = allocation_counter::measure(|| {
            for progress in &mut learning {
                let progress = progress.expect("finite numbers");
                n_episodes += usize::from(progress.episode.is_some());
                n_updates += usize::from(progress.update.is_some());
            }
        });
        assert!(n_episodes > 5 && n_updates > 50, "{n_episodes} episodes, {n_updates} updates");
        assert_eq!(allocated.count_total, 0);
    }
}

/// Of each option alone, so that none can be forgotten on its way into the loop.
#[test]
fn every_option_changes_what_is_learnt() {
    let learn = |change: fn(&mut Options)| {
        let mut options = Options { learning_rate: Schedule::Constant(1e-2), ..Options::dqn(400) };
        options.target = TargetUpdate::Hard { every: 50 };
        change(&mut options);
        let mut learning =
            Learning::new(options, vec![MountainCar::new()], Seed::training(0)).expect("it can start");
        rest(&mut learning);
        learning.policy().to_bytes()
    };
    let mut learnt = vec![learn(|_| {})];
    let changes: [fn(&mut Options); 24] = [
        |it| it.steps = 300,
        |it| it.discount = 0.9,
        |it| it.hidden = vec![64, 63],
        |it| it.batch = 33,
        |it| it.capacity = 100,
        |it| it.learning_starts = 200,
        |it| it.train_every = 5,
        |it| it.gradient_steps = 2,
        |it| it.learning_rate = Schedule::Constant(1.1e-2),
        |it| it.adam.epsilon = 1e-3,
        |it| it.gradient_norm_max = 0.1,
        |it| it.loss = Pointwise::Squared,
        |it| it.exploration.to = 0.5,
        |it| it.target = TargetUpdate::Hard { every: 60 },
        |it| it.target = TargetUpdate::Soft { share: 0.1 },
        |it| it.double = true,
        |it| it.dueling = true,
        |it| it.n_steps = 3,
        |it| it.prioritized = Some(Prioritized::default()),
        |it| it.prioritized = Some(Prioritized { beta_from: 0.8, ..Prioritized::default() }),
        |it| it.noisy = Some(Noisy::default()),
        |it| it.head = Head::Categorical { atoms: 11, least: -20.0, most: 0.0 },
        |it| it.head = Head::Quantile { quantiles: 5, kappa: 1.0 },
        |it| it.munchausen = Some(Munchausen::default()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let other = learn(change);
        assert!(!learnt.contains(&other), "change {index} does nothing");
        learnt.push(other);
    }
}

/// Bursts begin behind the first multiple of `train_every` after learning starts; episodes add up to the steps.
#[test]
fn progress_counts_what_was_done() {
    let options =
        Options { steps: 100, learning_starts: 30, train_every: 7, gradient_steps: 3, ..Options::dqn(100) };
    let options = Options { exploration: Exploration { from: 0.8, to: 0.2, fraction: 0.5 }, ..options };
    let mut learning = start(&options, 1, 0);
    let told = rest(&mut learning);
    let bursts: Vec<u64> = told.iter().filter(|it| it.update.is_some()).map(|it| it.step).collect();
    assert_eq!(bursts, [35, 42, 49, 56, 63, 70, 77, 84, 91, 98]);
    assert!(told.iter().filter_map(|it| it.update).all(|update| update.n == 3 && update.loss > 0.0));
    assert_eq!(told[99].gradient_steps, 30);
    assert_eq!(options.gradient_steps_total(), 30);
    assert_eq!((told[29].epsilon, told[99].epsilon), (1.0, 0.2));
    assert!((told[30].epsilon - 0.44).abs() < 1e-12);
    let in_episodes: u64 = told.iter().filter_map(|it| it.episode).map(|episode| episode.length).sum();
    let last = told.iter().rposition(|it| it.episode.is_some()).expect("an episode ended");
    assert_eq!(in_episodes, told[last].step);
    assert!(told.iter().filter_map(|it| it.episode).all(|it| it.total == it.length as f64));
}

/// With several copies steps are counted over all of them.
#[test]
fn copies_share_the_steps() {
    let options = Options { steps: 100, learning_starts: 0, train_every: 8, ..Options::dqn(100) };
    let told = rest(&mut start(&options, 3, 0));
    let steps: Vec<u64> = told.iter().map(|it| it.step).collect();
    assert_eq!(steps, (1..=102).collect::<Vec<u64>>());
    assert!(told.iter().all(|it| it.copy as u64 == (it.step - 1) % 3));
    assert_eq!(told.last().map(|it| it.gradient_steps), Some(12));
}

/// Two rooms with three doors. In room 0 door 0 leads to room 1 and door 1 stays and earns 0.2; in room 1 only door 2 is
/// allowed, which earns 1 and leads back. With discount ½: v(0) = 2/3 and v(1) = 4/3.
#[derive(Clone)]
struct Rooms {
    spec: Spec,
    room: usize,
    steps: u32,
    reward_of_door_2: f64,
}

impl Rooms {
    fn new() -> Self {
        let in_room = |name: &str| Quantity { name: name.into(), unit: "1".into(), min: 0.0, max: 1.0 };
        let spec = Spec {
            name: "rooms".into(),
            observation: vec![in_room("in room 0"), in_room("in room 1")],
            action: Space::Discrete(vec!["0".into(), "1".into(), "2".into()]),
            steps_max: 5,
        };
        Self { spec, room: 0, steps: 0, reward_of_door_2: 1.0 }
    }
}

impl Env for Rooms {
    type Action = usize;
    type Observation = [f32; 2];
    type Info = ();

    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, _: Seed) -> [f32; 2] {
        (self.room, self.steps) = (0, 0);
        [1.0, 0.0]
    }

    fn step(&mut self, action: usize) -> Step<[f32; 2]> {
        let (room, reward) = match (self.room, action) {
            (0, 0) => (1, 0.0),
            (0, 1) => (0, 0.2),
            (1, 2) => (0, self.reward_of_door_2),
            (room, action) => panic!("door {action} is not allowed in room {room}"),
        };
        self.room = room;
        self.steps += 1;
        let end = (self.steps == 5).then_some(StepEnd::Truncated);
        let mut observation = [0.0; 2];
        observation[room] = 1.0;
        Step { observation, reward, end }
    }

    fn info(&self) -> &() {
        &()
    }

    fn allowed(&self, mask: &mut [bool]) {
        mask.copy_from_slice(if self.room == 0 { &[true, true, false] } else { &[false, false, true] });
    }
}

fn rooms() -> Options {
    let steps = 4_000;
    Options {
        discount: 0.5,
        hidden: vec![16],
        learning_rate: Schedule::Cosine { from: 5e-3, to: 0.0, steps: steps / 4 },
        target: TargetUpdate::Soft { share: 0.05 },
        exploration: Exploration { from: 1.0, to: 0.3, fraction: 1.0 },
        ..Options::dqn(steps)
    }
}

/// Episodes of five steps are truncated in either room, so the mask of the final observation counts. The doors that are not
/// allowed are never learnt of: whatever the network says of them must not matter.
#[test]
fn doors_that_are_not_allowed_are_neither_taken_nor_valued() {
    for options in [rooms(), Options { double: true, ..rooms() }] {
        for seed in 0..3 {
            let mut learning = Learning::new(options.clone(), vec![Rooms::new()], Seed::training(seed))
                .expect("it can start");
            rest(&mut learning);
            let mut policy = learning.policy();
            let near =
                |value: f32, truth: f64| assert!((f64::from(value) - truth).abs() < 0.01, "{value} {truth}");
            let values = policy.values(&[1.0, 0.0]).to_vec();
            near(values[0], 2.0 / 3.0);
            near(values[1], 0.2 + 1.0 / 3.0);
            near(policy.values(&[0.0, 1.0])[2], 4.0 / 3.0);
            assert_eq!(policy.act(&[0.0, 1.0], &[false, false, true]), 2);
        }
    }
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_says_where() {
    let mut rooms_of_nan = Rooms::new();
    rooms_of_nan.reward_of_door_2 = f64::NAN;
    for head in [Head::Expected, Head::Quantile { quantiles: 3, kappa: 1.0 }] {
        let options = Options { head, learning_starts: 99, loss: Pointwise::Squared, ..rooms() };
        let mut learning =
            Learning::new(options, vec![rooms_of_nan.clone()], Seed::training(3)).expect("it can start");
        let error = learning.by_ref().find_map(Result::err).expect("it stops").to_string();
        let said = error.split(" and").next().expect("there is a first part");
        expect!["environment step 100 of seed training 3: gradient step 0: the loss is NaN"].assert_eq(said);
        assert!(learning.next().is_none());
    }
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let error = |options: Options| Learning::new(options, vec![Chain::new()], Seed::training(0)).err();
    assert_eq!(error(Options::dqn(1)), None);
    let said = |options| error(options).expect("it cannot start").to_string();
    expect!["`steps` must be at least 1, but is 0"].assert_eq(&said(Options::dqn(0)));
    let wide = Options { hidden: vec![1 << 30], ..Options::dqn(1) };
    expect!["`hidden` makes no network: `widths` must need at most 268435456 parameters, but need more: [5, 1073741824, 2]"].assert_eq(&said(wide));
    let mut plain = Rooms::new();
    plain.spec.action = Space::Box(Vec::new());
    let error =
        Learning::new(Options::dqn(1), vec![plain], Seed::training(0)).err().expect("it cannot start");
    assert!(matches!(error, LearningError::Environment { .. }));
    expect!["`rooms` must have an observation and choices as its action, but has other actions"]
        .assert_eq(&error.to_string());
}

#[test]
fn a_checkpoint_of_something_else_is_refused() {
    let mut learning = start(&everything(), 2, 4);
    learning.by_ref().take(100).for_each(drop);
    let good = learning.to_bytes();
    let check = |bytes: &[u8], options: Options, n_copies: usize, expected: &Expect| {
        let error = Learning::from_bytes(bytes, options, vec![CartPole::new(); n_copies]).err();
        expected.assert_eq(&error.expect("it is refused").to_string());
    };
    let other = Options { batch: 9, ..everything() };
    check(&good, other, 2, &expect!["the checkpoint is of a run with `batch` 8, but 9 is asked for"]);
    let other = Options { hidden: vec![16, 17], ..everything() };
    check(
        &good,
        other,
        2,
        &expect!["the checkpoint is of a run with `hidden` [16, 16], but [16, 17] is asked for"],
    );
    check(
        &good,
        everything(),
        3,
        &expect![
            "the checkpoint is of a run on 2 of `cart-pole` (4 numbers, 2 actions), but 3 of `cart-pole` (4 numbers, 2 actions) is given"
        ],
    );
    let mut bytes = good.clone();
    bytes[8] = 9;
    check(&bytes, everything(), 2, &expect!["the record is of version 9, but 1 is what can be read"]);
    bytes = good.clone();
    bytes[500] ^= 1;
    check(&bytes, everything(), 2, &expect!["the record is damaged: its checksum is wrong"]);
    check(b"PK", everything(), 2, &expect!["this is no such record: it does not begin with `tidegdqn`"]);
    let policy = learning.policy().to_bytes();
    check(&policy, everything(), 2, &expect!["the record is of a policy, but must be of a run of learning"]);
    let error = Learning::from_bytes(&good, everything(), vec![MountainCar::new(); 2]).err();
    assert!(matches!(error, Some(CheckpointError::Environment { .. })), "{error:?}");
}

#[test]
fn a_policy_comes_back_to_the_bit_and_acts_without_allocating() {
    for options in [everything(), quantiles(), Options { steps: 600, ..Options::dqn(600) }] {
        let mut learning = start(&options, 1, 6);
        rest(&mut learning);
        let mut policy = learning.policy();
        let bytes = policy.to_bytes();
        let mut again = Policy::from_bytes(&bytes).expect("what was written");
        assert_eq!(again.to_bytes(), bytes);
        assert_eq!((again.n_inputs(), again.n_actions()), (4, 2));
        let observation = [0.5, -0.3, 0.05, 0.7];
        let values = policy.values(&observation).to_vec();
        assert_eq!(again.values(&observation), values);
        let best = usize::from(values[1] > values[0]);
        let mut actions = [9; 2];
        let allocated = allocation_counter::measure(|| {
            actions = [again.act(&observation, &[true; 2]), again.act(&observation, &[best == 1, best == 0])];
        });
        assert_eq!(actions, [best, 1 - best]);
        assert_eq!(allocated.count_total, 0);
        let episode = again.play(&mut CartPole::new(), Seed::evaluation(0));
        assert_eq!(episode.total, episode.length as f64);
    }
    let checkpoint = start(&everything(), 1, 0).to_bytes();
    let error = Policy::from_bytes(&checkpoint).expect_err("it is something else");
    expect!["the record is of a run of learning, but must be of a policy"].assert_eq(&error.to_string());
}
