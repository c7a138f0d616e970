//! Sensing: what a real autoscaler could have measured by now. Scraped, averaged, late, noisy, sometimes missing.
//!
//! An engine hands in the true sums over each scrape window; here they become averages, get multiplicative noise
//! v · max(0, 1 + s z) with z standard normal, get lost with the drop-out probability, and are shown only after the
//! delay. Noise and drop-outs are counter hashes of (channel, scrape): the same under every controller.

use std::collections::VecDeque;

use statrs::distribution::{ContinuousCDF, Normal};
use tidegate_core::observation::{CONTAINERS_MAX, ExternalSample, Notice, ReplicaUsage};
use tidegate_core::scenario::{ExternalSource, ResourcesConfig, SensingConfig};
use tidegate_core::{
    Calendar, Key, Needs, Observation, POOLS_MAX, PoolStatus, ReplicaSample, Scenario, Scrape, Seed, Stream,
    Tick,
};

use crate::fleet::Fleet;

/// Scrapes kept for a controller that does not look; older ones are dropped, as a real store's window would.
const SCRAPES_KEPT: usize = 4096;

/// Channel numbers of per-replica usage start here; part of the results.
const REPLICA_CHANNEL: u64 = 1 << 32;

/// True sums over one scrape window, service-wide.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawWindow {
    /// Attempts received.
    pub attempts: f64,
    /// Of those, first attempts.
    pub first_attempts: f64,
    /// Attempts rejected, abandoned in the queue or failed.
    pub errors: f64,
    /// Attempts completed.
    pub completed: f64,
    /// Their summed server-side latency.
    pub latency_seconds: f64,
    /// Its median, 95th and 99th percentile.
    pub latency_quantiles_seconds: [Option<f64>; 3],
    /// Attempts waiting at the end.
    pub queue_length: f64,
    /// Integral of the attempts waiting or in service.
    pub attempt_seconds: f64,
    /// Age of the oldest waiting attempt at the end.
    pub oldest_age_seconds: f64,
}

/// True sums over one scrape window, of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawPool {
    /// Integral of the ready slots.
    pub slot_seconds: f64,
    /// Integral of the slots in service.
    pub busy_slot_seconds: f64,
    /// Integral of the attempts waiting or in service at the pool's replicas.
    pub outstanding_seconds: f64,
}

/// True averages over one scrape window, of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawReplica {
    /// Position in the fleet.
    pub replica: u32,
    /// Its number.
    pub id: u64,
    /// Its pool.
    pub pool: u16,
    /// Share of its slots in service.
    pub busy_share: f64,
    /// Attempts waiting or in service at it.
    pub concurrency: f64,
    /// Attempts received a second.
    pub requests_per_second: f64,
}

/// The sensors of one service.
#[derive(Clone, Debug)]
pub struct Sensing {
    config: SensingConfig,
    calendar: Calendar,
    resources: Vec<ResourcesConfig>,
    concurrency: Vec<f64>,
    noise: Key,
    dropout: Key,
    n_scrapes: u64,
    pending: VecDeque<Pending>,
    scrapes: Vec<Scrape>,
    external: Vec<ExternalSample>,
    pools: [PoolStatus; POOLS_MAX],
    pool_utilization: [Option<f64>; POOLS_MAX],
    wants_replicas: bool,
    pending_usage: VecDeque<(f64, UsageBatch)>,
    spare_usage: Vec<UsageBatch>,
    usage: Vec<Option<(u64, ReplicaUsage)>>,
    replicas: Vec<ReplicaSample>,
    notices: Vec<Notice>,
}

/// Position in the fleet, number and usage of each replica at one scrape.
type UsageBatch = Vec<(u32, u64, ReplicaUsage)>;

#[derive(Clone, Copy, Debug)]
struct Pending {
    scrape: Scrape,
    pool_utilization: [Option<f64>; POOLS_MAX],
}

/// Channels in the order of their numbers, which are part of the results: add, never renumber.
#[derive(Clone, Copy)]
enum Channel {
    Requests,
    FirstAttempts,
    Errors,
    Cpu,
    Memory,
    Network,
    Disk,
    LatencyMean,
    LatencyP50,
    LatencyP95,
    LatencyP99,
    Queue,
    Concurrency,
    OldestAge,
    PoolCpu,
}

impl Sensing {
    /// The sensors of a scenario.
    pub fn new(scenario: &Scenario) -> Self {
        let seed = Seed::training(0);
        Self {
            config: scenario.sensing.clone(),
            calendar: scenario.calendar,
            resources: scenario.pools.iter().map(|pool| pool.resources.clone()).collect(),
            concurrency: scenario.pools.iter().map(|pool| f64::from(pool.concurrency)).collect(),
            noise: seed.key(Stream::SensorNoise),
            dropout: seed.key(Stream::SensorDropout),
            n_scrapes: 0,
            pending: VecDeque::new(),
            scrapes: Vec::new(),
            external: Vec::new(),
            pools: [PoolStatus::default(); POOLS_MAX],
            pool_utilization: [None; POOLS_MAX],
            wants_replicas: false,
            pending_usage: VecDeque::new(),
            spare_usage: Vec::new(),
            usage: Vec::new(),
            replicas: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Starts the run of this seed.
    pub fn reset(&mut self, seed: Seed) {
        self.noise = seed.key(Stream::SensorNoise);
        self.dropout = seed.key(Stream::SensorDropout);
        self.n_scrapes = 0;
        self.pending.clear();
        self.pool_utilization = [None; POOLS_MAX];
        self.wants_replicas = false;
        self.spare_usage.extend(self.pending_usage.drain(..).map(|(_, usage)| usage));
        self.usage.clear();
    }

    /// When the next scrape window ends.
    #[inline]
    pub fn next_scrape_seconds(&self) -> f64 {
        (self.n_scrapes + 1) as f64 * self.config.scrape_seconds
    }

    /// Whether anyone looks at single replicas; if not, the engine need not measure them.
    pub fn wants_replicas(&self) -> bool {
        self.wants_replicas
    }

    /// Takes the sums of the window that ends now, at [`Sensing::next_scrape_seconds`].
    pub fn scrape(&mut self, raw: &RawWindow, pools: &[RawPool], replicas: &[RawReplica]) {
        let at_seconds = self.next_scrape_seconds();
        self.n_scrapes += 1;
        let window = self.config.scrape_seconds;
        let per_second = |count: f64| Some(count / window);
        let [p50, p95, p99] = raw.latency_quantiles_seconds;
        let exact = self.config.noise <= 0.0 && self.config.dropout <= 0.0;
        let mut used = [0.0; 4];
        let mut slots = 0.0;
        let mut pool_utilization = [None; POOLS_MAX];
        for (pool, sums) in pools.iter().enumerate() {
            if sums.slot_seconds <= 0.0 {
                continue;
            }
            let busy = sums.busy_slot_seconds / sums.slot_seconds;
            let shares = shares(&self.resources[pool], busy, sums.outstanding_seconds / sums.slot_seconds);
            pool_utilization[pool] = Some(shares[0]);
            if !exact {
                pool_utilization[pool] = self.distorted(Channel::PoolCpu, pool as u64, Some(shares[0]));
            }
            slots += sums.slot_seconds;
            for (used, share) in used.iter_mut().zip(shares) {
                *used += share * sums.slot_seconds;
            }
        }
        let mean = |used: f64| (slots > 0.0).then(|| used / slots);
        let mut scrape = Scrape {
            at_seconds,
            window_seconds: window,
            requests_per_second: per_second(raw.attempts),
            first_attempts_per_second: self.config.sees_first_attempts.then(|| raw.first_attempts / window),
            errors_per_second: per_second(raw.errors),
            cpu_utilization: mean(used[0]),
            memory_utilization: mean(used[1]),
            network_utilization: mean(used[2]),
            disk_utilization: mean(used[3]),
            latency_mean_seconds: (raw.completed > 0.0).then(|| raw.latency_seconds / raw.completed),
            latency_p50_seconds: p50,
            latency_p95_seconds: p95,
            latency_p99_seconds: p99,
            queue_length: Some(raw.queue_length),
            concurrency: per_second(raw.attempt_seconds),
            oldest_age_seconds: Some(raw.oldest_age_seconds),
        };
        if !exact {
            self.distort(&mut scrape);
        }
        if self.pending.len() == SCRAPES_KEPT {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { scrape, pool_utilization });
        if self.wants_replicas {
            self.scrape_replicas(at_seconds, replicas);
        }
    }

    /// What can be seen now, since the last call.
    pub fn observe<'a>(
        &'a mut self,
        now_seconds: f64,
        tick: Tick,
        fleet: &mut Fleet,
        needs: Needs,
    ) -> Observation<'a> {
        self.wants_replicas = needs.replicas;
        self.scrapes.clear();
        self.external.clear();
        // The margin lets a scrape that ends now be seen now.
        let visible = now_seconds - self.config.delay_seconds + 1e-9;
        while let Some(pending) = self.pending.front().filter(|pending| pending.scrape.at_seconds <= visible)
        {
            self.scrapes.push(pending.scrape);
            self.pool_utilization = pending.pool_utilization;
            for (metric, external) in self.config.external.iter().enumerate() {
                let scrape = &pending.scrape;
                let value = match external.source {
                    ExternalSource::QueueLength => scrape.queue_length,
                    ExternalSource::OldestAgeSeconds => scrape.oldest_age_seconds,
                    ExternalSource::RequestsPerSecond => scrape.requests_per_second,
                    ExternalSource::Concurrency => scrape.concurrency,
                };
                let metric = metric as u16;
                self.external.push(ExternalSample { metric, at_seconds: scrape.at_seconds, value });
            }
            self.pending.pop_front();
        }
        let n_pools = self.resources.len();
        for pool in 0..n_pools {
            self.pools[pool] = fleet.status(pool);
            self.pools[pool].cpu_utilization = self.pool_utilization[pool];
        }
        self.notices.clear();
        if !fleet.notices().is_empty() {
            self.notices.extend_from_slice(fleet.notices());
            fleet.forget_notices();
        }
        self.replicas.clear();
        if needs.replicas {
            self.list_replicas(now_seconds, visible, fleet);
        }
        Observation {
            now_seconds,
            tick,
            calendar: &self.calendar,
            scrapes: &self.scrapes,
            external: &self.external,
            pools: &self.pools[..n_pools],
            replicas: &self.replicas,
            notices: &self.notices,
            carbon_grams_per_kwh: self.config.sees_carbon.then(|| fleet.carbon_grams_per_kwh()),
        }
    }

    /// Every value as the sensor gives it.
    fn distort(&self, scrape: &mut Scrape) {
        for (channel, value) in [
            (Channel::Requests, &mut scrape.requests_per_second),
            (Channel::FirstAttempts, &mut scrape.first_attempts_per_second),
            (Channel::Errors, &mut scrape.errors_per_second),
            (Channel::Cpu, &mut scrape.cpu_utilization),
            (Channel::Memory, &mut scrape.memory_utilization),
            (Channel::Network, &mut scrape.network_utilization),
            (Channel::Disk, &mut scrape.disk_utilization),
            (Channel::LatencyMean, &mut scrape.latency_mean_seconds),
            (Channel::LatencyP50, &mut scrape.latency_p50_seconds),
            (Channel::LatencyP95, &mut scrape.latency_p95_seconds),
            (Channel::LatencyP99, &mut scrape.latency_p99_seconds),
            (Channel::Queue, &mut scrape.queue_length),
            (Channel::Concurrency, &mut scrape.concurrency),
            (Channel::OldestAge, &mut scrape.oldest_age_seconds),
        ] {
            *value = self.distorted(channel, 0, *value);
        }
    }

    /// A value as the sensor gives it.
    fn distorted(&self, channel: Channel, index: u64, value: Option<f64>) -> Option<f64> {
        Some(value? * self.factor(channel as u64 | index << 8)?)
    }

    /// What noise makes of 1 at this scrape; none if it is lost.
    fn factor(&self, channel: u64) -> Option<f64> {
        if self.dropout.uniform(channel, self.n_scrapes) < self.config.dropout {
            return None;
        }
        let z = Normal::standard().inverse_cdf(self.noise.uniform(channel, self.n_scrapes));
        Some((1.0 + self.config.noise * z).max(0.0))
    }

    fn scrape_replicas(&mut self, at_seconds: f64, replicas: &[RawReplica]) {
        let mut batch = self.spare_usage.pop().unwrap_or_default();
        batch.clear();
        for raw in replicas {
            let resources = &self.resources[usize::from(raw.pool)];
            let concurrency = self.concurrency[usize::from(raw.pool)];
            let [cpu, memory, ..] = shares(resources, raw.busy_share, raw.concurrency / concurrency);
            let factor = if self.config.noise > 0.0 || self.config.dropout > 0.0 {
                self.factor(REPLICA_CHANNEL | raw.id)
            } else {
                Some(1.0)
            };
            let Some(factor) = factor else { continue };
            let mut usage = ReplicaUsage {
                at_seconds,
                window_seconds: self.config.scrape_seconds,
                cpu_cores: [0.0; CONTAINERS_MAX],
                memory_gib: [0.0; CONTAINERS_MAX],
                requests_per_second: raw.requests_per_second * factor,
                concurrency: raw.concurrency * factor,
            };
            usage.cpu_cores[0] = cpu * resources.cpu_cores * factor;
            usage.memory_gib[0] = memory * resources.memory_gib * factor;
            // A sidecar (a proxy) works in proportion to the traffic, at half of the main container's share.
            usage.cpu_cores[1] = 0.5 * cpu * resources.sidecar_cpu_cores * factor;
            usage.memory_gib[1] = resources.memory_idle * resources.sidecar_memory_gib * factor;
            batch.push((raw.replica, raw.id, usage));
        }
        self.pending_usage.push_back((at_seconds, batch));
    }

    fn list_replicas(&mut self, now_seconds: f64, visible: f64, fleet: &Fleet) {
        self.usage.resize(fleet.positions(), None);
        while self.pending_usage.front().is_some_and(|(at, _)| *at <= visible) {
            let (_, batch) = self.pending_usage.pop_front().expect("it was just seen");
            for (replica, id, usage) in &batch {
                self.usage[*replica as usize] = Some((*id, *usage));
            }
            self.spare_usage.push(batch);
        }
        for index in fleet.living() {
            let replica = fleet.replica(index);
            let usage = self.usage[index as usize].filter(|(id, _)| *id == replica.id).map(|(_, usage)| {
                // Shares of the cpu are of what the replica has; its memory does not depend on its size.
                ReplicaUsage { cpu_cores: usage.cpu_cores.map(|cores| cores * replica.size), ..usage }
            });
            self.replicas.push(ReplicaSample {
                pool: replica.pool,
                id: replica.id,
                state: replica.state(now_seconds),
                created_seconds: replica.created_seconds(),
                started_seconds: replica.started_seconds(now_seconds),
                is_ready: replica.serves(),
                ready_changed_seconds: replica.ready_changed_seconds(),
                usage,
            });
        }
        self.replicas.sort_unstable_by_key(|sample| (sample.pool, sample.id));
    }
}

/// Shares of cpu, memory, network and disk in use at this share of busy slots and this many attempts a slot.
fn shares(resources: &ResourcesConfig, busy: f64, outstanding: f64) -> [f64; 4] {
    [
        (resources.cpu_idle + resources.cpu_busy * busy).min(1.0),
        (resources.memory_idle + resources.memory_per_outstanding * outstanding).min(1.0),
        (resources.network_busy * busy).min(1.0),
        (resources.disk_busy * busy).min(1.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensing(more: &str) -> (Sensing, Fleet) {
        let text = format!("{}\n[sensing]\n{more}", tidegate_core::scenario::EXAMPLE);
        let scenario = Scenario::parse(&text).expect("the scenario is right");
        let mut fleet = Fleet::new(&scenario);
        fleet.reset(Seed::training(1));
        let mut sensing = Sensing::new(&scenario);
        sensing.reset(Seed::training(1));
        (sensing, fleet)
    }

    fn window(attempts: f64) -> RawWindow {
        RawWindow { attempts, completed: 10.0, latency_seconds: 5.0, ..RawWindow::default() }
    }

    #[test]
    fn a_scrape_is_an_average_and_comes_after_the_delay() {
        let (mut sensing, mut fleet) = sensing("delay_seconds = 20");
        let pool = RawPool { slot_seconds: 240.0, busy_slot_seconds: 60.0, outstanding_seconds: 120.0 };
        sensing.scrape(&window(300.0), &[pool], &[]);
        assert!(sensing.observe(30.0, Tick(2), &mut fleet, Needs::AGGREGATES).scrapes.is_empty());
        let observation = sensing.observe(35.0, Tick(2), &mut fleet, Needs::AGGREGATES);
        let scrape = observation.latest().expect("it is visible now");
        assert_eq!(scrape.at_seconds, 15.0);
        assert_eq!(scrape.requests_per_second, Some(20.0));
        assert_eq!(scrape.latency_mean_seconds, Some(0.5));
        assert_eq!(scrape.cpu_utilization, Some(0.25));
        assert_eq!(scrape.memory_utilization, Some(0.3 + 0.3 * 0.5));
        assert!(sensing.observe(36.0, Tick(2), &mut fleet, Needs::AGGREGATES).scrapes.is_empty());
    }

    #[test]
    fn noise_and_drop_outs_have_the_size_that_was_asked_for() {
        const N: usize = 4000;
        let (mut sensing, mut fleet) = sensing("noise = 0.2\ndropout = 0.1");
        let mut values = Vec::new();
        for _ in 0..N {
            sensing.scrape(&window(150.0), &[RawPool::default()], &[]);
        }
        let observation = sensing.observe(1e9, Tick(0), &mut fleet, Needs::AGGREGATES);
        values.extend(observation.scrapes.iter().filter_map(|scrape| scrape.requests_per_second));
        let n = values.len() as f64;
        assert!((n / N as f64 - 0.9).abs() < 4.0 * (0.09 / N as f64).sqrt(), "{n} values");
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean - 10.0).abs() < 4.0 * 2.0 / n.sqrt(), "mean {mean}");
        assert!((deviation - 2.0).abs() < 0.1, "deviation {deviation}");
    }

    #[test]
    fn replicas_are_shown_only_if_asked_for_and_only_their_own_usage() {
        let (mut sensing, mut fleet) = sensing("");
        assert!(sensing.observe(0.0, Tick(0), &mut fleet, Needs::AGGREGATES).replicas.is_empty());
        let observation = sensing.observe(0.0, Tick(0), &mut fleet, Needs::REPLICAS);
        assert_eq!(observation.replicas.len(), 4);
        assert!(observation.replicas.iter().all(|replica| replica.is_ready && replica.usage.is_none()));
        let raw =
            RawReplica { replica: 2, id: fleet.replica(2).id, busy_share: 0.5, ..RawReplica::default() };
        let stale = RawReplica { replica: 3, id: 77, ..raw };
        sensing.scrape(&window(1.0), &[RawPool::default()], &[raw, stale]);
        let observation = sensing.observe(15.0, Tick(1), &mut fleet, Needs::REPLICAS);
        let cores: Vec<_> = observation
            .replicas
            .iter()
            .map(|replica| replica.usage.map(|usage| usage.cpu_cores[0]))
            .collect();
        assert_eq!(cores, [None, None, Some(1.0), None]);
    }
}
