//! An explanation as a page for a terminal.

use std::fmt::{self, Display, Write};

use tidegate_autoscalers::hpa::replicas::Counts;

use super::{
    Explanation, Limits, MetricExplanation, PodExplanation, Recommended, Stabilization, duration, ratio,
};

/// A line of the page is no longer, unless a word is.
const WIDTH: usize = 110;

/// Of more pods of one group and reason than this, the first few are named and the others counted.
const ALIKE_MAX: usize = 6;

/// What a terminal shows.
pub struct Page<'a>(pub &'a Explanation);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.0;
        writeln!(f, "HPA {} of {} at {}", it.autoscaler, it.target, it.now)?;
        writeln!(
            f,
            "{} replicas declared, {} observed; {} to {} allowed",
            it.spec_replicas, it.status_replicas, it.replicas_min, it.replicas_max
        )?;
        writeln!(f, "\nMetrics")?;
        if it.metrics.is_empty() {
            writeln!(f, "  none was looked at")?;
        }
        for metric in &it.metrics {
            write_metric(f, metric, it.metrics.len() > 1)?;
        }
        if let (Some(stabilization), Some(limits)) = (&it.stabilization, &it.limits) {
            writeln!(f, "\nFrom proposal to decision")?;
            let proposal = it.proposal.unwrap_or(it.spec_replicas);
            writeln!(f, "  metrics        {proposal:>4}   {}", wish(it))?;
            write_stabilization(f, stabilization)?;
            write_limits(f, it, limits)?;
        }
        writeln!(f, "\nConditions")?;
        for condition in &it.conditions {
            let status = if condition.status { "True" } else { "False" };
            writeln!(f, "  {:<14} {status:<6} {}", condition.kind, condition.reason)?;
            write_wrapped(f, "                        ", 24, &condition.message)?;
        }
        writeln!(f, "\n{}", it.conclusion)
    }
}

fn wish(it: &Explanation) -> String {
    let failed = it.metrics.iter().filter(|metric| metric.error.is_some()).count();
    let most =
        if it.metrics.len() > 1 { "the most that a metric asks for" } else { "what the metric asks for" };
    if failed == 0 { most.to_owned() } else { format!("{most}; {failed} of {} failed", it.metrics.len()) }
}

fn write_metric(f: &mut fmt::Formatter<'_>, it: &MetricExplanation, has_others: bool) -> fmt::Result {
    let asks = match it.proposal {
        Some(proposal) if it.decides && has_others => format!("asks for {proposal}, the most"),
        Some(proposal) => format!("asks for {proposal}"),
        None => "failed".into(),
    };
    writeln!(f, "  {} ({}): {asks}", it.label, it.field)?;
    if let Some(failure) = &it.failure {
        write_wrapped(f, "    ", 4, failure)?;
    }
    if let (Some(value), Some(of_target)) = (&it.value, it.ratio) {
        let [low, high] = it.tolerated;
        writeln!(
            f,
            "    now {value}, target {}; ratio {}, on target from {} to {}",
            it.target,
            ratio(of_target),
            ratio(low),
            ratio(high)
        )?;
    }
    if let Some(counts) = it.counts {
        writeln!(f, "    pods: {}", groups(counts))?;
    }
    write_pods(f, &it.pods)?;
    match &it.working {
        Some(working) => write_wrapped(f, "    ", 4, working),
        None => Ok(()),
    }
}

fn groups(counts: Counts) -> String {
    let Counts { ready, unready, missing, ignored, strays } = counts;
    let mut text = format!("{ready} ready");
    for (n, what) in
        [(unready, "unready"), (missing, "without a sample"), (ignored, "ignored"), (strays, "unknown")]
    {
        if n > 0 {
            write!(text, ", {n} {what}").expect("a string takes all");
        }
    }
    text
}

fn write_pods(f: &mut fmt::Formatter<'_>, pods: &[PodExplanation]) -> fmt::Result {
    let width = pods.iter().map(|pod| pod.name.chars().count()).max().unwrap_or(0);
    let mut shown: Vec<(&str, &str, usize)> = Vec::new();
    for pod in pods {
        let alike = shown.iter_mut().find(|(group, why, _)| *group == pod.group && *why == pod.why);
        let n = if let Some((_, _, n)) = alike {
            *n += 1;
            *n
        } else {
            shown.push((pod.group, &pod.why, 1));
            1
        };
        if n <= ALIKE_MAX {
            writeln!(f, "      {}", pod_line(pod, width).trim_end())?;
        }
    }
    for (group, why, n) in shown.into_iter().filter(|(_, _, n)| *n > ALIKE_MAX) {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        writeln!(f, "      and {} more {group}{why}", n - ALIKE_MAX)?;
    }
    Ok(())
}

/// A text behind `head`, broken between words; further lines are indented.
fn write_wrapped(f: &mut fmt::Formatter<'_>, head: &str, indent: usize, text: &str) -> fmt::Result {
    let (mut line, mut is_fresh) = (head.to_owned(), true);
    for word in text.split_whitespace() {
        if !is_fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(f, "{line}")?;
            (line, is_fresh) = (" ".repeat(indent), true);
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    writeln!(f, "{line}")
}

fn pod_line(pod: &PodExplanation, width: usize) -> String {
    let usage = match (&pod.usage, &pod.request) {
        (Some(usage), Some(request)) => format!("{usage} of {request}"),
        (Some(usage), None) => usage.clone(),
        (None, Some(request)) => format!("– of {request}"),
        (None, None) => "–".into(),
    };
    let mut line = format!("{:<width$}  {:<8} {usage:<16} {}", pod.name, pod.group, pod.why);
    if let Some(filled) = &pod.filled {
        write!(line, "; taken as {filled}").expect("a string takes all");
    }
    line
}

fn write_stabilization(f: &mut fmt::Formatter<'_>, it: &Stabilization) -> fmt::Result {
    let mut lines = Vec::new();
    if let Some(up) = it.up.as_ref().filter(|up| up.seconds > 0.0) {
        lines.push(format!(
            "up to {}, the lowest of the last {}: {}",
            up.replicas,
            duration(up.seconds),
            remembered(&up.recommendations)
        ));
    }
    let down = &it.down;
    if down.seconds > 0.0 {
        lines.push(format!(
            "down to {}, the highest of the last {}: {}",
            down.replicas,
            duration(down.seconds),
            remembered(&down.recommendations)
        ));
    }
    if lines.is_empty() {
        lines.push("no window".into());
    }
    for (index, line) in lines.into_iter().enumerate() {
        if index == 0 {
            writeln!(f, "  stabilization  {:>4}   {line}", it.replicas)?;
        } else {
            writeln!(f, "                        {line}")?;
        }
    }
    Ok(())
}

/// Recommendations, equal ones that follow each other in one word.
fn remembered(recommendations: &[Recommended]) -> String {
    let mut words = Vec::new();
    for alike in recommendations.chunk_by(|a, b| a.replicas == b.replicas) {
        let (first, last) = (alike[0], alike[alike.len() - 1]);
        words.push(match alike.len() {
            1 => format!("{} ({} ago)", first.replicas, duration(first.age_seconds)),
            n => format!(
                "{} ({n} times, {} to {} ago)",
                first.replicas,
                duration(first.age_seconds),
                duration(last.age_seconds)
            ),
        });
    }
    if words.is_empty() { "nothing else remembered".to_owned() } else { words.join(", ") }
}

fn write_limits(f: &mut fmt::Formatter<'_>, it: &Explanation, limits: &Limits) -> fmt::Result {
    let current = it.spec_replicas;
    let direction = if limits.stabilized > current { "up" } else { "down" };
    let rate = match (limits.rate_limit, limits.select) {
        _ if limits.stabilized == current => "no change to limit".to_owned(),
        (_, Some("Disabled")) => format!("selectPolicy Disabled: never {direction}"),
        (Some(rate), Some(select)) => {
            let which = match (limits.policies.len(), select) {
                (1, _) => "",
                (_, "Min") => ", the least change that a policy allows",
                _ => ", the most change that a policy allows",
            };
            format!("{direction} to {rate}{which}")
        }
        (Some(rate), None) if direction == "up" => {
            format!("up to {rate}: twice the count, or 4 if that is more, in one pass")
        }
        _ => "none downwards".to_owned(),
    };
    let after_rate = match limits.rate_limit {
        Some(rate) if limits.stabilized > current => limits.stabilized.min(rate),
        Some(rate) if limits.stabilized < current && limits.select.is_some() => limits.stabilized.max(rate),
        _ => limits.stabilized,
    };
    writeln!(f, "  rate limits    {after_rate:>4}   {rate}")?;
    for policy in &limits.policies {
        let changed = match policy.changed {
            0 => String::new(),
            changed => format!(" ({changed:+} in that time already, so counted from {})", policy.base),
        };
        writeln!(f, "                        {}: {direction} to {}{changed}", policy.policy, policy.limit)?;
    }
    writeln!(f, "  bounds         {:>4}   {} to {}", limits.replicas, it.replicas_min, it.replicas_max)
}
