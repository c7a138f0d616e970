//! What benchmarks of networks share: times, rates, and the peak that they are compared with.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Arch, Simd, WithSimd};
use tidegate_net::Shape;

/// Of the repeats, in seconds a call.
#[derive(Clone, Copy)]
pub struct Time {
    /// The least disturbed.
    pub fastest: f64,
    /// Half of them were faster.
    pub median: f64,
}

impl Time {
    /// So many repeats of so many calls each.
    pub fn of(repeats: usize, n_calls: u32, mut call: impl FnMut()) -> Self {
        let mut seconds = vec![0.0; repeats];
        for seconds in &mut seconds {
            let start = Instant::now();
            (0..n_calls).for_each(|_| call());
            *seconds = start.elapsed().as_secs_f64() / f64::from(n_calls);
        }
        seconds.sort_unstable_by(f64::total_cmp);
        Self { fastest: seconds[0], median: seconds[repeats / 2] }
    }

    /// Fastest and median: microseconds, and the fastest as a rate and as a share of the peak.
    pub fn said(self, flops: f64, peak: f64) -> String {
        let rate = flops / self.fastest;
        format!(
            "{:.2} µs (median {:.2}), {:.1} GFLOP/s, {:.0} % of the peak",
            self.fastest * 1e6,
            self.median * 1e6,
            rate / 1e9,
            100.0 * rate / peak,
        )
    }
}

/// Chains of fused multiply-adds, as many as hide their latency.
struct Peak {
    n: usize,
}

const CHAINS: usize = 12;

impl WithSimd for Peak {
    type Output = (f64, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut chains = [simd.splat_f32s(1.0); CHAINS];
        let (by, and) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        for _ in 0..self.n {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, by, and);
            }
        }
        let sum = chains.into_iter().map(|chain| simd.reduce_sum_f32s(chain)).sum();
        let lanes = size_of::<S::f32s>() / size_of::<f32>();
        ((2 * self.n * CHAINS * lanes) as f64, sum)
    }
}

/// Floating-point operations a second that fused multiply-adds in registers reach.
pub fn peak() -> f64 {
    let arch = Arch::new();
    let mut flops = 0.0;
    let time = Time::of(1000, 1, || {
        let (counted, sum) = arch.dispatch(Peak { n: 10_000 });
        black_box(sum);
        flops = counted;
    });
    flops / time.fastest
}

/// Forward, gradient by the weights, and gradient by the inputs of all layers but the first.
pub fn step_flops(shape: &Shape, batch: usize) -> f64 {
    let first = 2.0 * (shape.widths()[0] * shape.widths()[1]) as f64;
    batch as f64 * (3.0 * shape.flops() as f64 - first)
}
