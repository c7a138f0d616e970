//! What the fluid step looks up: Erlang's C, and the tails and quantiles of a sojourn, tabulated once.
//!
//! All times here are in units of the mean service. Axes that span decades are piecewise linear within octaves, so a
//! position is read from the bits of the number; whole numbers of servers up to 32 are grid points.

use tidegate_core::Distribution;

use tidegate_core::queueing::{atoms, erlang_c_real};

/// Values that stand for the service in the exact sums, and in the tables.
const ATOMS: usize = 32;
const ATOMS_FOR_TABLES: usize = 512;

/// Logarithms are cut here: exp(−60) of all users is nobody.
const LOG_MIN: f64 = -60.0;

/// And below this, one user in ten million, a step does not compute them: the retries of nobody would cost more than
/// all else.
pub const LOG_NOBODY: f64 = -16.0;

/// A grid that is linear within each octave.
#[derive(Clone, Copy, Debug)]
pub struct Octaves {
    pub exponent_min: i32,
    pub doublings: usize,
    /// Cells an octave, as a power of two.
    pub bits: u32,
}

impl Octaves {
    pub fn points(self) -> usize {
        (self.doublings << self.bits) + 1
    }

    pub fn least(self) -> f64 {
        f64::from_bits(((1023 + i64::from(self.exponent_min)) as u64) << 52)
    }

    pub fn value(self, point: usize) -> f64 {
        let (octave, part) = (point >> self.bits, point & ((1 << self.bits) - 1));
        self.least() * (1_u64 << octave) as f64 * (1.0 + part as f64 / f64::from(1_u32 << self.bits))
    }

    /// Cell and position in it; beyond the ends, the ends.
    #[inline]
    pub fn locate(self, value: f64) -> (usize, f64) {
        let cells = self.doublings << self.bits;
        let shift = 52 - self.bits;
        let base = ((1023 + i64::from(self.exponent_min)) as u64) << self.bits;
        let raw = value.to_bits();
        let cell = (raw >> shift).wrapping_sub(base);
        // A number below the grid wraps to a huge cell; only its size tells the two ends apart.
        if cell < cells as u64 {
            let fraction = (raw & ((1 << shift) - 1)) as f64 / (1_u64 << shift) as f64;
            (cell as usize, fraction)
        } else if value < 1.0 {
            (0, 0.0)
        } else {
            (cells - 1, 1.0)
        }
    }
}

/// Erlang's C over real numbers of servers c and β = (1 − ρ)√c, in which it hardly depends on c (Halfin and Whitt).
#[derive(Clone, Debug)]
pub struct ErlangTable {
    servers: Octaves,
    values: Vec<f32>,
}

const BETA_MAX: f64 = 8.0;
const BETA_CELLS: usize = 512;
const BETA_PER_CELL: f64 = BETA_MAX / BETA_CELLS as f64;
/// Above 2¹¹ servers the last column stands for all: at equal β it is within 1 % of the limit.
const SERVER_OCTAVES: (i32, i32) = (-3, 11);

impl ErlangTable {
    pub fn new(servers_max: f64) -> Self {
        let top = (servers_max.max(2.0).log2().ceil() as i32).min(SERVER_OCTAVES.1);
        let servers =
            Octaves { exponent_min: SERVER_OCTAVES.0, doublings: (top - SERVER_OCTAVES.0) as usize, bits: 4 };
        let mut values = Vec::with_capacity(servers.points() * (BETA_CELLS + 1));
        for point in 0..servers.points() {
            let servers = servers.value(point);
            for cell in 0..=BETA_CELLS {
                let utilization = 1.0 - cell as f64 * BETA_PER_CELL / servers.sqrt();
                let waits =
                    if utilization > 0.0 { erlang_c_real(servers, utilization * servers) } else { 0.0 };
                values.push(waits as f32);
            }
        }
        Self { servers, values }
    }

    /// P(wait) and its derivative by the utilization.
    #[inline]
    pub fn waits(&self, servers: f64, root_servers: f64, utilization: f64) -> (f64, f64) {
        let (column, across) = self.servers.locate(servers);
        let position = (1.0 - utilization) * root_servers / BETA_PER_CELL;
        let row = (position as usize).min(BETA_CELLS - 1);
        let along = (position - row as f64).min(1.0);
        let left = &self.values[column * (BETA_CELLS + 1) + row..][..2];
        let right = &self.values[(column + 1) * (BETA_CELLS + 1) + row..][..2];
        let low = f64::from(left[0]) + across * (f64::from(right[0]) - f64::from(left[0]));
        let high = f64::from(left[1]) + across * (f64::from(right[1]) - f64::from(left[1]));
        (low + along * (high - low), (low - high) * root_servers / BETA_PER_CELL)
    }
}

/// A wait, in units of the mean service: certain, then with some probability exponential, perhaps cut off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Law {
    /// Certain wait.
    pub shift: f64,
    /// Probability of more than that.
    pub waits: f64,
    /// Rate of the exponential part; may be negative where it is cut off.
    pub decay: f64,
    /// Mean of the exponential part.
    pub mean: f64,
    /// Where it is cut off; infinite where it is not.
    pub cut: f64,
}

/// P(T > x) and E (T − x)⁺.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tail {
    pub survival: f64,
    pub excess: f64,
}

/// Tails of T = W + S for one distribution of S.
#[derive(Clone, Debug)]
pub struct SojournTable {
    thresholds: Octaves,
    threshold_max: f64,
    decays: Octaves,
    /// ln P(S > y) and ln E (S − y)⁺; the first entry is y = 0.
    log_service: Vec<[f32; 2]>,
    /// ln P(S + X > y) for exponential X: thresholds × decays; the first row is y = 0.
    log_delayed: Vec<f32>,
    /// Median, 95th and 99th percentile of T with no shift: decays × probabilities to wait.
    quantiles: Vec<[f32; 3]>,
    atoms: Vec<f64>,
    /// The sum of the first so many of them.
    atoms_summed: Vec<f64>,
}

const WAITS_CELLS: usize = 32;
/// The quantiles that scrapes carry.
const LEVELS: [f64; 3] = [0.5, 0.95, 0.99];

impl SojournTable {
    /// Tables up to this threshold, in mean services.
    pub fn new(work: &Distribution, threshold_max: f64) -> Self {
        let mean = work.mean();
        let scaled = |n: usize| -> Vec<f64> {
            let values = atoms(work, n);
            values.iter().map(|value| if mean > 0.0 { value / mean } else { 1.0 }).collect()
        };
        let fine = scaled(ATOMS_FOR_TABLES);
        let top = threshold_max.max(64.0).log2().ceil() as i32;
        let thresholds = Octaves { exponent_min: -4, doublings: (top.min(24) + 4) as usize, bits: 4 };
        let decays = Octaves { exponent_min: -12, doublings: 20, bits: 3 };
        let log = |value: f64| value.max(LOG_MIN.exp()).ln() as f32;
        let ys: Vec<f64> = std::iter::once(0.0)
            .chain((0..thresholds.points()).map(|point| thresholds.value(point)))
            .collect();
        let mut log_service = Vec::with_capacity(ys.len());
        let survival = |y: f64| if mean > 0.0 { work.survival(y * mean) } else { f64::from(y < 1.0) };
        for y in &ys {
            log_service.push([log(survival(*y)), log(service_excess(work, mean, &fine, *y))]);
        }
        let log_delayed = delayed_survivals(&survival, &ys, decays).into_iter().map(log).collect();
        let atoms = scaled(ATOMS);
        let mut atoms_summed = vec![0.0; atoms.len() + 1];
        for (index, atom) in atoms.iter().enumerate() {
            atoms_summed[index + 1] = atoms_summed[index] + atom;
        }
        let mut table = Self {
            thresholds,
            threshold_max: thresholds.value(thresholds.points() - 1),
            decays,
            log_service,
            log_delayed,
            quantiles: Vec::new(),
            atoms,
            atoms_summed,
        };
        table.tabulate_quantiles();
        table
    }

    /// The tail of T at `x`, in mean services.
    #[inline]
    pub fn tail(&self, law: &Law, x: f64) -> Tail {
        let y = x - law.shift;
        if y <= 0.0 {
            return Tail { survival: 1.0, excess: 1.0 - y + law.waits * law.mean };
        }
        if law.cut < f64::INFINITY {
            return self.tail_cut(law, y);
        }
        let (row, down) = self.row(y);
        let [survival, excess] = self.service(row, down);
        if law.waits <= 0.0 {
            return Tail { survival, excess };
        }
        let (column, across) = self.decays.locate(law.decay);
        let columns = self.decays.points();
        let upper = &self.log_delayed[row * columns + column..][..2];
        let lower = &self.log_delayed[(row + 1) * columns + column..][..2];
        let left = f64::from(upper[0]) + down * (f64::from(lower[0]) - f64::from(upper[0]));
        let right = f64::from(upper[1]) + down * (f64::from(lower[1]) - f64::from(upper[1]));
        let mut log_delayed = left + across * (right - left);
        if y > self.threshold_max {
            // Beyond the table only the exponential part is left.
            log_delayed -= law.decay * (y - self.threshold_max);
        }
        let delayed = exp_or_nothing(log_delayed);
        // E (S + X − y)⁺ = E (S − y)⁺ + P(S + X > y)/θ: where S does not reach y, X goes on as if new.
        Tail {
            survival: survival + law.waits * (delayed - survival),
            excess: excess + law.waits * delayed * law.mean,
        }
    }

    /// Median, 95th and 99th percentile of T.
    #[inline]
    pub fn quantiles(&self, law: &Law) -> [f64; 3] {
        let (row, down) = self.decays.locate(1.0 / law.mean.max(1e-9));
        let position = law.waits * WAITS_CELLS as f64;
        let column = (position as usize).min(WAITS_CELLS - 1);
        let across = position - column as f64;
        let upper = &self.quantiles[row * (WAITS_CELLS + 1) + column..][..2];
        let lower = &self.quantiles[(row + 1) * (WAITS_CELLS + 1) + column..][..2];
        std::array::from_fn(|level| {
            let left =
                f64::from(upper[0][level]) + down * (f64::from(lower[0][level]) - f64::from(upper[0][level]));
            let right =
                f64::from(upper[1][level]) + down * (f64::from(lower[1][level]) - f64::from(upper[1][level]));
            law.shift + left + across * (right - left)
        })
    }

    #[inline]
    fn row(&self, y: f64) -> (usize, f64) {
        let least = self.thresholds.least();
        if y < least {
            (0, y / least)
        } else {
            let (row, down) = self.thresholds.locate(y);
            (row + 1, down)
        }
    }

    #[inline]
    fn service(&self, row: usize, down: f64) -> [f64; 2] {
        let (upper, lower) = (&self.log_service[row], &self.log_service[row + 1]);
        std::array::from_fn(|which| {
            let (above, below) = (f64::from(upper[which]), f64::from(lower[which]));
            exp_or_nothing(above + down * (below - above))
        })
    }

    /// The same where the exponential part is cut off: rare (users leave the queue), so summed over the service.
    fn tail_cut(&self, law: &Law, y: f64) -> Tail {
        let (eta, cut) = (law.decay, law.cut);
        let below = self.atoms.partition_point(|service| *service < y);
        // Services so short that even the longest wait ends before.
        let in_time = self.atoms.partition_point(|service| cut - (y - service) <= 0.0);
        let in_time = in_time.min(below);
        let late = &self.atoms[in_time..below];
        let n_late = late.len() as f64;
        let rests = n_late * (cut - y) + (self.atoms_summed[below] - self.atoms_summed[in_time]);
        let (survivals, excesses) = if (eta * cut).abs() < 1e-4 {
            let squares: f64 = late.iter().map(|service| (cut - y + service) * (cut - y + service)).sum();
            (rests / cut, squares / (2.0 * cut))
        } else {
            // Relative to the higher end of the density, so that nothing overflows. The sum over services needs one
            // exponential each, the rest does not depend on them one by one.
            let end = exp(-(eta * cut).abs());
            let whole = 1.0 - end;
            let origin = if eta > 0.0 { y } else { y - cut };
            let mut powers = [0.0; ATOMS];
            for (power, service) in powers.iter_mut().zip(late) {
                *power = exp(eta * (service - origin));
            }
            let powers = sum_of(&powers);
            if eta > 0.0 {
                let above = powers - n_late * end;
                (above / whole, (above / eta - rests * end) / whole)
            } else {
                let above = n_late - powers;
                (above / whole, (rests + above / eta) / whole)
            }
        };
        // The share of services beyond y is known better than by counting values.
        let (row, down) = self.row(y);
        let [longer, service_excess] = self.service(row, down);
        let share = if below > 0 { law.waits * (1.0 - longer) / below as f64 } else { 0.0 };
        Tail {
            survival: longer + share * survivals.max(0.0),
            excess: service_excess + law.waits * law.mean * longer + share * excesses.max(0.0),
        }
    }

    fn tabulate_quantiles(&mut self) {
        let points = self.decays.points();
        let mut quantiles = Vec::with_capacity(points * (WAITS_CELLS + 1));
        for point in 0..points {
            let decay = self.decays.value(point);
            for cell in 0..=WAITS_CELLS {
                let law = Law {
                    shift: 0.0,
                    waits: cell as f64 / WAITS_CELLS as f64,
                    decay,
                    mean: 1.0 / decay,
                    cut: f64::INFINITY,
                };
                quantiles.push(LEVELS.map(|level| self.quantile(&law, level) as f32));
            }
        }
        self.quantiles = quantiles;
    }
}

impl SojournTable {
    /// By false position on the logarithm of the survival (Illinois's rule: an end that stays counts half), which is
    /// nearly straight; every third point halves the bracket, for services whose survival has steps.
    fn quantile(&self, law: &Law, level: f64) -> f64 {
        // Ends where the survival is cut to nothing are as good as any beyond.
        let beyond = |x: f64| (self.tail(law, x).survival / (1.0 - level)).ln().max(LOG_NOBODY);
        let (mut low, mut high) = (0.0, 1.0);
        let mut at_low = -(1.0 - level).ln();
        let mut at_high = beyond(high);
        while at_high > 0.0 && high < 1e7 {
            (low, at_low) = (high, at_high);
            high *= 2.0;
            at_high = beyond(high);
        }
        let mut stayed = 0;
        for round in 1..90 {
            let share = if round % 3 == 0 { 0.5 } else { at_low / (at_low - at_high) };
            let middle = low + share * (high - low);
            let at_middle = beyond(middle);
            // Both finer than the numbers that keep it.
            if at_middle.abs() <= 1e-8 || high - low <= 1e-8 * high {
                return middle;
            }
            if at_middle > 0.0 {
                (low, at_low) = (middle, at_middle);
                at_high *= if stayed == 1 { 0.5 } else { 1.0 };
                stayed = 1;
            } else {
                (high, at_high) = (middle, at_middle);
                at_low *= if stayed == -1 { 0.5 } else { 1.0 };
                stayed = -1;
            }
        }
        high
    }
}

/// In four sums, which need not wait for each other.
#[inline]
fn sum_of(values: &[f64; ATOMS]) -> f64 {
    let mut sums = [0.0; 4];
    for four in values.as_chunks::<4>().0 {
        for (sum, value) in sums.iter_mut().zip(four) {
            *sum += value;
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

/// Most tails that a step asks for are empty; then there is nothing to compute.
#[inline]
fn exp_or_nothing(log: f64) -> f64 {
    if log < LOG_NOBODY { 0.0 } else { exp(log) }
}

/// eˣ between −700 and 700, to 2e-14 of itself: a polynomial that the compiler can inline and overlap, at a third of
/// the instructions of a call to the system's library (a step takes several), and the same bits whichever library that
/// is.
#[inline]
pub fn exp(x: f64) -> f64 {
    // Adding 1.5 · 2⁵² rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.clamp(-700.0, 700.0);
    let rounded = x * std::f64::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    // Taylor's series for |r| ≤ ln 2/2: the first term left out is r¹²/12!, below 7e-15. In pairs, to be short.
    let r2 = r * r;
    let r4 = r2 * r2;
    let low = (1.0 + r) + r2 * (1.0 / 2.0 + r * (1.0 / 6.0));
    let middle = (1.0 / 24.0 + r * (1.0 / 120.0)) + r2 * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let high = (1.0 / 40_320.0 + r * (1.0 / 362_880.0)) + r2 * (1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0));
    let power = f64::from_bits((rounded.to_bits().wrapping_add(1023)) << 52);
    power * (low + r4 * (middle + r4 * high))
}

/// E (S − y)⁺ in mean services: in closed form where there is one.
fn service_excess(work: &Distribution, mean: f64, atoms: &[f64], y: f64) -> f64 {
    match work {
        Distribution::Exponential { .. } => (-y).exp(),
        Distribution::HyperExponential { share, mean_seconds } => {
            let phase = |m: f64| m / mean * (-y * mean / m).exp();
            share * phase(mean_seconds[0]) + (1.0 - share) * phase(mean_seconds[1])
        }
        _ => atoms.iter().map(|service| (service - y).max(0.0)).sum::<f64>() / atoms.len() as f64,
    }
}

/// H(y) = P(S + X > y) with X exponential, for all thresholds and decays: dH/dy = θ (P(S > y) − H), solved exactly for
/// a survival of straight pieces.
fn delayed_survivals(survival: &impl Fn(f64) -> f64, ys: &[f64], decays: Octaves) -> Vec<f64> {
    const PIECES: usize = 8;
    let columns = decays.points();
    let mut values = vec![1.0; columns];
    values.reserve(columns * ys.len());
    let mut known = [0.0; PIECES + 1];
    for (row, pair) in ys.windows(2).enumerate() {
        let piece = (pair[1] - pair[0]) / PIECES as f64;
        for (index, known) in known.iter_mut().enumerate() {
            *known = survival(pair[0] + index as f64 * piece);
        }
        for column in 0..columns {
            let x = decays.value(column) * piece;
            let keep = (-x).exp();
            let mean = if x > 1e-8 { -(-x).exp_m1() / x } else { 1.0 - x / 2.0 };
            let mut value = values[row * columns + column];
            for ends in known.windows(2) {
                value = keep * value + (1.0 - mean) * ends[1] + (mean - keep) * ends[0];
            }
            values.push(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use tidegate_core::queueing::{MarkovQueue, Sojourn};

    #[test]
    fn the_exponential_is_the_library_s() {
        for index in -70_000..=70_000 {
            let x = f64::from(index) * 1e-2 * (1.0 - 1e-9);
            assert_relative_eq!(exp(x), x.exp(), max_relative = 2e-14);
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NEG_INFINITY) < 1e-300);
    }

    #[test]
    fn looking_up_erlang_c_is_as_good_as_computing_it() {
        let table = ErlangTable::new(300.0);
        for servers in [1.0_f64, 4.0, 7.3, 20.0, 60.0, 131.0, 255.0] {
            for utilization in [0.3, 0.6, 0.8, 0.9, 0.97, 0.999] {
                let exact = erlang_c_real(servers, servers * utilization);
                let (waits, slope) = table.waits(servers, servers.sqrt(), utilization);
                assert!(
                    (waits - exact).abs() < 3e-3 * exact + 1e-6,
                    "{servers} {utilization}: {waits} {exact}"
                );
                let further = erlang_c_real(servers, servers * (utilization + 1e-6));
                let expected = (further - exact) / 1e-6;
                assert!((slope - expected).abs() < 0.05 * expected + 1e-3, "{slope} {expected}");
            }
        }
    }

    #[test]
    fn looking_up_tails_is_as_good_as_computing_them() {
        let table = SojournTable::new(&Distribution::Exponential { mean_seconds: 0.5 }, 100.0);
        for (servers, load) in [(1, 0.5), (4, 3.6), (20, 17.0), (50, 30.0)] {
            let queue = MarkovQueue::new(servers, load, 1.0).expect("it is stable");
            let law = Law {
                shift: 0.0,
                waits: queue.delay_probability,
                decay: queue.decay_per_second,
                mean: 1.0 / queue.decay_per_second,
                cut: f64::INFINITY,
            };
            for x in [0.02, 0.3, 1.0, 3.3, 8.0, 14.5] {
                let tail = table.tail(&law, x);
                assert_relative_eq!(tail.survival, queue.sojourn_survival(x), max_relative = 3e-3);
                assert_relative_eq!(tail.excess, queue.sojourn_excess_seconds(x), max_relative = 3e-3);
            }
            let [p50, p95, p99] = table.quantiles(&law);
            for (value, p) in [(p50, 0.5), (p95, 0.95), (p99, 0.99)] {
                assert_relative_eq!(value, queue.sojourn_quantile_seconds(p), max_relative = 0.01);
            }
        }
    }

    #[test]
    fn a_cut_far_away_changes_nothing_and_a_near_one_is_its_integral() {
        const N: usize = 2000;
        let work = Distribution::log_normal(1.0, 0.7);
        let table = SojournTable::new(&work, 100.0);
        let far = Law { shift: 0.2, waits: 0.6, decay: 1.5, mean: 1.0 / 1.5, cut: 60.0 };
        let none = Law { cut: f64::INFINITY, ..far };
        let atoms = Sojourn {
            shift_seconds: 0.2,
            delay_probability: 0.6,
            decay_per_second: 1.5,
            service_seconds: atoms(&work, 512),
        };
        for x in [0.1, 0.7, 1.5, 4.0] {
            assert_relative_eq!(table.tail(&far, x).survival, table.tail(&none, x).survival, epsilon = 0.02);
            assert_relative_eq!(table.tail(&none, x).survival, atoms.survival(x), epsilon = 5e-3);
            assert_relative_eq!(table.tail(&none, x).excess, atoms.excess_seconds(x), max_relative = 0.01);
        }
        for decay in [-3.0_f64, -1e-6, 2.0] {
            let cut: f64 = 1.7;
            let whole = if decay.abs() < 1e-3 { cut } else { (1.0 - (-decay * cut).exp()) / decay };
            let at = |i: usize| (i as f64 + 0.5) * cut / N as f64;
            let mean = (0..N).map(|i| at(i) * (-decay * at(i)).exp()).sum::<f64>() * cut / N as f64 / whole;
            let law = Law { shift: 0.0, waits: 1.0, decay, mean, cut };
            let x = 1.9;
            let expected = (0..N)
                .map(|i| {
                    let late = atoms.service_seconds.iter().map(|s| (at(i) + s - x).max(0.0)).sum::<f64>();
                    late / atoms.service_seconds.len() as f64 * (-decay * at(i)).exp()
                })
                .sum::<f64>()
                * cut
                / N as f64
                / whole;
            assert_relative_eq!(table.tail(&law, x).excess, expected, max_relative = 0.01);
        }
    }
}
