//! Stations: the replicas as requests see them, their queues, and the balancer's choice among them.
//!
//! With a central queue the replicas of a group share one queue and free slots serve in the order in which they
//! became free; otherwise each replica queues for itself. Where no replica is open, requests wait in the group's
//! queue, whatever the balancer (a serverless front end holds them so). Pools form one group, unless they have route
//! weights: then each is a group of its own, picked by weight.

use std::collections::VecDeque;

use tidegate_core::scenario::Balancer;
use tidegate_core::{Key, Scenario, Seed, Stream};

use crate::fleet::Fleet;
use crate::sensing::RawReplica;

/// A time integral of a count, exact at any moment: ∫ n dt = n(t) · t + Σ over ups and downs of ∓ their time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Integral {
    count: f64,
    past: f64,
}

impl Integral {
    #[inline]
    pub fn add(&mut self, now: f64, change: f64) {
        self.count += change;
        self.past -= now * change;
    }

    #[inline]
    pub fn at(&self, now: f64) -> f64 {
        self.past + self.count * now
    }

    pub fn count(&self) -> f64 {
        self.count
    }
}

/// All replicas as requests see them.
#[derive(Clone, Debug)]
pub struct Stations {
    balancer: Balancer,
    queue_max: u32,
    concurrency: Vec<u32>,
    slow_start_seconds: Vec<f64>,
    weighted: bool,
    key: Key,
    groups: Vec<Group>,
    replicas: Vec<Station>,
    n_busy: usize,
    n_queued: usize,
}

/// Where a request is sent.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    group: usize,
    /// The replica chosen; none with a central queue or where no replica is open.
    replica: Option<u32>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Open replicas, in no particular but a fixed order.
    members: Vec<u32>,
    /// Whose turn it is (round robin).
    turn: usize,
    /// Open replicas by their outstanding requests, and the lowest count that has any (least outstanding).
    buckets: Vec<Vec<u32>>,
    lowest: usize,
    /// Free slots with the epoch of their station, in the order in which they became free (central queue).
    free: VecDeque<(u32, u32)>,
    queue: VecDeque<u32>,
    queued: u32,
}

#[derive(Clone, Debug, Default)]
struct Station {
    pool: u16,
    group: u16,
    concurrency: u32,
    busy: u32,
    queued: u32,
    /// Grows whenever the place is taken by another replica.
    epoch: u32,
    open: bool,
    /// Position among the group's members, and in its bucket.
    member: u32,
    in_bucket: u32,
    speed: f64,
    slow_until: f64,
    queue: VecDeque<u32>,
    busy_seconds: Integral,
    waiting_seconds: Integral,
    started: u32,
    busy_at_scrape: f64,
    waiting_at_scrape: f64,
}

impl Stations {
    /// In place of a replica for what waits in the first group's queue; lower numbers stand for further groups.
    pub const NOWHERE: u32 = u32::MAX;

    pub fn new(scenario: &Scenario) -> Self {
        let weighted = scenario.pools.iter().any(|pool| pool.route_weight > 0.0);
        let n_groups = if weighted { scenario.pools.len() } else { 1 };
        Self {
            balancer: scenario.balancer,
            queue_max: scenario.queue_max.unwrap_or(u32::MAX),
            concurrency: scenario.pools.iter().map(|pool| pool.concurrency).collect(),
            slow_start_seconds: scenario.pools.iter().map(|pool| pool.slow_start_seconds).collect(),
            weighted,
            key: Seed::training(0).key(Stream::Balance),
            groups: vec![Group::default(); n_groups],
            replicas: Vec::new(),
            n_busy: 0,
            n_queued: 0,
        }
    }

    pub fn reset(&mut self, seed: Seed) {
        self.key = seed.key(Stream::Balance);
        self.groups.fill(Group::default());
        self.replicas.clear();
        self.n_busy = 0;
        self.n_queued = 0;
    }

    pub fn has_central_queue(&self) -> bool {
        matches!(self.balancer, Balancer::CentralQueue {})
    }

    /// Slots in service.
    pub fn busy(&self) -> usize {
        self.n_busy
    }

    /// Attempts waiting.
    pub fn queued(&self) -> usize {
        self.n_queued
    }

    /// The pool of a replica; none for what waits in a group's queue.
    #[inline]
    pub fn pool_of(&self, replica: u32) -> Option<usize> {
        self.replicas.get(replica as usize).map(|station| usize::from(station.pool))
    }

    /// The balancer's choice for an attempt.
    #[inline(always)]
    pub fn route(&self, user: u64, attempt: u32, fleet: &Fleet) -> Route {
        let attempt = u64::from(attempt);
        let group = if self.weighted { self.by_weight(user, attempt, fleet) } else { 0 };
        let Group { members, turn, buckets, lowest, .. } = &self.groups[group];
        if members.is_empty() {
            return Route { group, replica: None };
        }
        let outstanding = |replica: u32| self.replicas[replica as usize].outstanding();
        let replica = match self.balancer {
            Balancer::CentralQueue {} => None,
            Balancer::RoundRobin {} => Some(members[*turn % members.len()]),
            Balancer::Random {} => Some(members[self.key.index(user, attempt, members.len())]),
            Balancer::LeastOutstanding {} => {
                let least = &buckets[*lowest];
                Some(if least.len() == 1 {
                    least[0]
                } else {
                    least[self.key.index(user, attempt, least.len())]
                })
            }
            Balancer::TwoChoices {} => {
                let first = self.key.index(user, attempt, members.len());
                // The second differs from the first wherever there are two.
                let second = self.key.index(user, attempt | 1 << 32, (members.len() - 1).max(1));
                let second = if second >= first { (second + 1) % members.len() } else { second };
                let (first, second) = (members[first], members[second]);
                Some(if outstanding(second) < outstanding(first) { second } else { first })
            }
        };
        Route { group, replica }
    }

    fn by_weight(&self, user: u64, attempt: u64, fleet: &Fleet) -> usize {
        let weight = |group: usize| {
            if self.groups[group].members.is_empty() { 0.0 } else { fleet.route_weight(group) }
        };
        let total: f64 = (0..self.groups.len()).map(weight).sum();
        let mut left = self.key.uniform(user, attempt | 1 << 33) * total;
        for group in 0..self.groups.len() {
            left -= weight(group);
            if left < 0.0 {
                return group;
            }
        }
        // No weighted pool is open: whichever is, or the first.
        self.groups.iter().position(|group| !group.members.is_empty()).unwrap_or(0)
    }

    /// A slot in which the request can start at once.
    #[inline(always)]
    pub fn free_slot(&mut self, route: &Route) -> Option<u32> {
        let group = &mut self.groups[route.group];
        let replica = if let Some(replica) = route.replica {
            group.turn = group.turn.wrapping_add(1);
            replica
        } else {
            loop {
                let (replica, epoch) = group.free.pop_front()?;
                let station = &self.replicas[replica as usize];
                // A slot of a replica that closed meanwhile is no slot.
                if station.open && station.epoch == epoch {
                    return Some(replica);
                }
            }
        };
        let station = &self.replicas[replica as usize];
        (station.busy < station.concurrency).then_some(replica)
    }

    /// Whether the queue that the request would join has no place left.
    #[inline(always)]
    pub fn is_full(&self, route: &Route) -> bool {
        let queued = route
            .replica
            .map_or(self.groups[route.group].queued, |replica| self.replicas[replica as usize].queued);
        queued >= self.queue_max
    }

    /// Puts a job into the queue; gives the replica, or the group's stand-in for one.
    #[inline]
    pub fn enqueue(&mut self, route: &Route, job: u32, now: f64) -> u32 {
        self.n_queued += 1;
        if let Some(replica) = route.replica {
            self.replicas[replica as usize].queue.push_back(job);
            self.change(replica, |station| station.wait(now, 1));
            replica
        } else {
            self.groups[route.group].queue.push_back(job);
            self.groups[route.group].queued += 1;
            Self::NOWHERE - route.group as u32
        }
    }

    /// A waiting job's client left.
    pub fn abandon(&mut self, replica: u32, now: f64) {
        self.n_queued -= 1;
        if (replica as usize) < self.replicas.len() {
            self.change(replica, |station| station.wait(now, -1));
        } else {
            self.groups[(Self::NOWHERE - replica) as usize].queued -= 1;
        }
    }

    /// The next entry of the queue that this replica serves; it may have been abandoned.
    #[inline(always)]
    pub fn dequeue(&mut self, replica: u32) -> Option<u32> {
        let station = &mut self.replicas[replica as usize];
        if matches!(self.balancer, Balancer::CentralQueue {}) {
            if station.open { self.groups[usize::from(station.group)].queue.pop_front() } else { None }
        } else {
            station.queue.pop_front()
        }
    }

    /// What was dequeued for this replica was still wanted.
    #[inline(always)]
    pub fn took_from_queue(&mut self, replica: u32, now: f64) {
        self.n_queued -= 1;
        if self.has_central_queue() {
            let group = usize::from(self.replicas[replica as usize].group);
            self.groups[group].queued -= 1;
        } else {
            self.change(replica, |station| station.wait(now, -1));
        }
    }

    /// A job takes a slot; gives the pool.
    #[inline(always)]
    pub fn start(&mut self, replica: u32, now: f64) -> usize {
        self.n_busy += 1;
        self.change(replica, |station| {
            station.started += 1;
            station.serve(now, 1);
        });
        usize::from(self.replicas[replica as usize].pool)
    }

    /// A job leaves its slot; gives the pool.
    #[inline(always)]
    pub fn end(&mut self, replica: u32, now: f64) -> usize {
        self.n_busy -= 1;
        self.change(replica, |station| station.serve(now, -1));
        usize::from(self.replicas[replica as usize].pool)
    }

    /// A slot became free and nothing waits for it. Gives whether a closed replica is now empty.
    #[inline(always)]
    pub fn release(&mut self, replica: u32) -> bool {
        let station = &self.replicas[replica as usize];
        if station.open {
            if matches!(self.balancer, Balancer::CentralQueue {}) {
                self.groups[usize::from(station.group)].free.push_back((replica, station.epoch));
            }
            false
        } else {
            station.outstanding() == 0
        }
    }

    /// How fast a slot of this replica works now.
    #[inline(always)]
    pub fn speed(&self, replica: u32, now: f64, fleet: &Fleet) -> f64 {
        let station = &self.replicas[replica as usize];
        if now < station.slow_until { fleet.speed(replica, now) } else { station.speed }
    }

    pub fn has_free_slot(&self, replica: u32) -> bool {
        let station = &self.replicas[replica as usize];
        station.busy < station.concurrency
    }

    /// A replica became ready.
    pub fn open(&mut self, replica: u32, now: f64, fleet: &Fleet) {
        if self.replicas.len() <= replica as usize {
            self.replicas.resize(replica as usize + 1, Station::default());
        }
        let pool = fleet.replica(replica).pool;
        let group = if self.weighted { pool } else { 0 };
        let station = &mut self.replicas[replica as usize];
        assert!(station.busy == 0 && station.queued == 0, "a place is taken over empty");
        *station = Station {
            pool,
            group,
            concurrency: self.concurrency[usize::from(pool)],
            epoch: station.epoch.wrapping_add(1),
            open: true,
            speed: fleet.speed(replica, f64::INFINITY),
            slow_until: now + self.slow_start_seconds[usize::from(pool)],
            queue: std::mem::take(&mut station.queue),
            ..Station::default()
        };
        let members = &mut self.groups[usize::from(group)].members;
        station.member = members.len() as u32;
        members.push(replica);
        self.enter_bucket(replica);
    }

    /// Offers the free slots of a replica that just opened.
    pub fn offer_slots(&mut self, replica: u32) {
        if self.has_central_queue() {
            let station = &self.replicas[replica as usize];
            let free = &mut self.groups[usize::from(station.group)].free;
            free.extend((station.busy..station.concurrency).map(|_| (replica, station.epoch)));
        }
    }

    /// What waits because no replica was open; it is to be handed out.
    pub fn take_homeless(&mut self, replica: u32) -> Vec<u32> {
        let group = &mut self.groups[usize::from(self.replicas[replica as usize].group)];
        self.n_queued -= group.queued as usize;
        group.queued = 0;
        group.queue.drain(..).collect()
    }

    /// A replica works more slowly from now on.
    pub fn slow_down(&mut self, replica: u32, now: f64, fleet: &Fleet) {
        let station = &mut self.replicas[replica as usize];
        station.speed = fleet.speed(replica, f64::INFINITY);
        // While a slow start lasts the fleet is asked, and it knows of the illness.
        station.slow_until = station.slow_until.max(now);
    }

    /// A replica takes nothing new any more. Gives whether it is empty.
    pub fn close(&mut self, replica: u32) -> bool {
        if self.replicas[replica as usize].open {
            self.leave_bucket(replica);
            let station = &mut self.replicas[replica as usize];
            station.open = false;
            let (member, group) = (station.member as usize, usize::from(station.group));
            self.groups[group].members.swap_remove(member);
            if let Some(moved) = self.groups[group].members.get(member) {
                self.replicas[*moved as usize].member = member as u32;
            }
            self.groups[group].raise_lowest();
        }
        let station = &self.replicas[replica as usize];
        station.outstanding() == 0
    }

    /// Takes everything out of the queue of a replica that is gone; the caller tells what of it was abandoned.
    pub fn take_queue(&mut self, replica: u32, now: f64) -> Vec<u32> {
        let Some(station) = self.replicas.get_mut(replica as usize) else { return Vec::new() };
        self.n_queued -= station.queued as usize;
        let queue = station.queue.drain(..).collect();
        let queued = station.queued.cast_signed();
        if queued > 0 {
            self.change(replica, |station| station.wait(now, -queued));
        }
        queue
    }

    /// A replica is gone.
    pub fn forget(&mut self, replica: u32) {
        if (replica as usize) < self.replicas.len() {
            let empty = self.close(replica);
            assert!(empty, "what was in hand has failed by now");
        }
    }

    /// Averages of every open replica since the last call, over a window that just ended.
    pub fn sample(&mut self, now: f64, window_seconds: f64, fleet: &Fleet, into: &mut Vec<RawReplica>) {
        for (replica, station) in self.replicas.iter_mut().enumerate() {
            let (busy, waiting) = (station.busy_seconds.at(now), station.waiting_seconds.at(now));
            let (busy_seconds, waiting_seconds) =
                (busy - station.busy_at_scrape, waiting - station.waiting_at_scrape);
            if station.open {
                into.push(RawReplica {
                    replica: replica as u32,
                    id: fleet.replica(replica as u32).id,
                    pool: station.pool,
                    busy_share: busy_seconds / (window_seconds * f64::from(station.concurrency)),
                    concurrency: (busy_seconds + waiting_seconds) / window_seconds,
                    requests_per_second: f64::from(station.started) / window_seconds,
                });
            }
            station.busy_at_scrape = busy;
            station.waiting_at_scrape = waiting;
            station.started = 0;
        }
    }

    /// The least of what `offered` gives for the first live entry of every queue.
    pub fn fronts(&self, offered: impl Fn(u32) -> Option<f64>) -> Option<f64> {
        if self.n_queued == 0 {
            return None;
        }
        let groups = self.groups.iter().map(|group| &group.queue);
        let stations = self.replicas.iter().map(|station| &station.queue);
        groups
            .chain(stations)
            .filter_map(|queue| queue.iter().find_map(|job| offered(*job)))
            .min_by(f64::total_cmp)
    }

    /// Changes how many a replica has in hand, and its place in the order of outstanding requests.
    #[inline]
    fn change(&mut self, replica: u32, change: impl FnOnce(&mut Station)) {
        let station = &mut self.replicas[replica as usize];
        let before = station.outstanding();
        change(station);
        if matches!(self.balancer, Balancer::LeastOutstanding {}) && station.open {
            self.change_bucket(replica, before as usize);
        }
    }

    /// Moves a replica from the bucket `before` into the one where it belongs now.
    #[inline]
    fn change_bucket(&mut self, replica: u32, before: usize) {
        let station = &mut self.replicas[replica as usize];
        let (now, place) = (station.outstanding() as usize, station.in_bucket);
        let group = &mut self.groups[usize::from(station.group)];
        if group.buckets.len() <= now {
            group.buckets.resize_with(now + 1, Vec::new);
        }
        station.in_bucket = group.buckets[now].len() as u32;
        group.buckets[now].push(replica);
        let left = &mut group.buckets[before];
        let last = left.pop().expect("it was in there");
        if last != replica {
            left[place as usize] = last;
            self.replicas[last as usize].in_bucket = place;
        }
        group.lowest = group.lowest.min(now);
        group.raise_lowest();
    }

    #[inline]
    fn enter_bucket(&mut self, replica: u32) {
        if !matches!(self.balancer, Balancer::LeastOutstanding {}) {
            return;
        }
        let station = &mut self.replicas[replica as usize];
        let outstanding = station.outstanding() as usize;
        let group = &mut self.groups[usize::from(station.group)];
        if group.buckets.len() <= outstanding {
            group.buckets.resize_with(outstanding + 1, Vec::new);
        }
        station.in_bucket = group.buckets[outstanding].len() as u32;
        group.buckets[outstanding].push(replica);
        group.lowest = if group.members.len() == 1 { outstanding } else { group.lowest.min(outstanding) };
        group.raise_lowest();
    }

    #[inline]
    fn leave_bucket(&mut self, replica: u32) {
        if !matches!(self.balancer, Balancer::LeastOutstanding {}) {
            return;
        }
        let station = &self.replicas[replica as usize];
        let (outstanding, place) = (station.outstanding() as usize, station.in_bucket as usize);
        let group = &mut self.groups[usize::from(station.group)];
        let bucket = &mut group.buckets[outstanding];
        bucket.swap_remove(place);
        if let Some(moved) = bucket.get(place) {
            self.replicas[*moved as usize].in_bucket = place as u32;
        }
    }
}

impl Group {
    /// The bucket that was lowest may just have been emptied.
    #[inline]
    fn raise_lowest(&mut self) {
        while self.buckets.get(self.lowest).is_some_and(Vec::is_empty) {
            self.lowest += 1;
        }
    }
}

impl Station {
    #[inline]
    fn outstanding(&self) -> u32 {
        self.busy + self.queued
    }

    #[inline]
    fn serve(&mut self, now: f64, change: i32) {
        self.busy = self.busy.wrapping_add_signed(change);
        self.busy_seconds.add(now, f64::from(change));
    }

    #[inline]
    fn wait(&mut self, now: f64, change: i32) {
        self.queued = self.queued.wrapping_add_signed(change);
        self.waiting_seconds.add(now, f64::from(change));
    }
}
