//! Runs in parallel, each on disk as soon as it is finished.
//!
//! `<out>/partial/runs.jsonl` holds a line a run: its name, the hash of everything it depends on, its wall time and
//! its result; each line is appended in one write and synced before the run counts as done. So Ctrl-C or kill −9 lose
//! at most the runs in hand, and the same command goes on from there: a torn last line is cut off, lines with another
//! hash are passed over, and the results come back in the order of the jobs, whatever the number of threads. The
//! folder hides itself from git; wall times never leave it except for `timings.csv`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One thing to run.
#[derive(Clone, Debug)]
pub struct Job<T> {
    /// For example `compare/diurnal/threshold/17`.
    pub name: String,
    /// Of everything the result depends on ([`hash`]).
    pub hash: String,
    /// What the run needs.
    pub what: T,
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished<R> {
    /// The job's name.
    pub run: String,
    hash: String,
    /// Wall time.
    pub elapsed_seconds: f64,
    /// Its result.
    pub result: R,
}

/// SHA-256 of several parts in hexadecimal, shortened to 128 bits; where one part ends and the next begins counts.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    format!("{:032x}", u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes")))
}

/// The hash of the running program: a rebuilt simulator never passes off old runs as its own.
///
/// # Errors
/// If the program cannot be read.
pub fn program_hash() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("where this program is")?;
    Ok(hash(&[&fs::read(&path).with_context(|| path.display().to_string())?]))
}

/// SHA-256 of a file's bytes in hexadecimal, as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

/// Runs that are asked for one by one, because what is asked next depends on what came before; each on disk as soon
/// as it is finished, in the same file as those of [`run_all`].
///
/// Whoever asks again in the same order gets what is on disk, and so goes on where it was.
pub struct Journal<R> {
    store: Store,
    done: BTreeMap<String, Finished<R>>,
}

impl<R: Serialize + DeserializeOwned + Clone> Journal<R> {
    /// What is on disk; until this is dropped nobody else can write there.
    ///
    /// # Errors
    /// If `out` cannot be written, or another process is writing there.
    pub fn open(out: &Path) -> anyhow::Result<Self> {
        let (store, done) = Store::open(&out.join("partial"))?;
        Ok(Self { store, done })
    }

    /// The result of this name, from disk if it was made of the same things.
    ///
    /// # Errors
    /// If it panicked, or cannot be written.
    pub fn get_or_run(&self, name: &str, hash: &str, work: impl FnOnce() -> R) -> anyhow::Result<R> {
        if let Some(finished) = self.done.get(name).filter(|finished| finished.hash == hash) {
            return Ok(finished.result.clone());
        }
        let begun = Instant::now();
        let result = caught(name, work)?;
        let elapsed_seconds = begun.elapsed().as_secs_f64();
        let finished = Finished { run: name.to_owned(), hash: hash.to_owned(), elapsed_seconds, result };
        self.store.append(&finished)?;
        Ok(finished.result)
    }
}

/// Runs what is not yet on disk, and gives all results in the order of `jobs`.
///
/// # Errors
/// If `out` cannot be written, another process is writing there, or a run panicked (the others are finished first,
/// and the message names it).
///
/// # Panics
/// If two jobs have one name.
pub fn run_all<T: Sync, R: Serialize + DeserializeOwned + Send>(
    out: &Path,
    jobs: &[Job<T>],
    threads: usize,
    work: &(dyn Fn(&T) -> R + Sync),
) -> anyhow::Result<Vec<Finished<R>>> {
    let (store, mut done) = Store::open::<R>(&out.join("partial"))?;
    let names: BTreeMap<&str, &str> = jobs.iter().map(|job| (job.name.as_str(), job.hash.as_str())).collect();
    assert_eq!(names.len(), jobs.len(), "a run has one name");
    done.retain(|run, finished| names.get(run.as_str()).is_some_and(|hash| *hash == finished.hash));
    let pending: Vec<&Job<T>> = jobs.iter().filter(|job| !done.contains_key(&job.name)).collect();

    let bar = progress(jobs.len(), done.len());
    let stored = AtomicUsize::new(done.len());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("threads")?;
    let outcomes: Vec<anyhow::Result<Finished<R>>> = pool.install(|| {
        pending
            .par_iter()
            // One at a time: runs differ in length by orders of magnitude.
            .with_max_len(1)
            .map(|job| {
                let begun = Instant::now();
                let result = caught(&job.name, || work(&job.what))?;
                let elapsed_seconds = begun.elapsed().as_secs_f64();
                let run = job.name.clone();
                let finished = Finished { run, hash: job.hash.clone(), elapsed_seconds, result };
                store.append(&finished)?;
                stored.fetch_add(1, Ordering::Relaxed);
                bar.inc(1);
                Ok(finished)
            })
            .collect()
    });
    bar.finish_and_clear();
    let mut failures = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(finished) => {
                done.insert(finished.run.clone(), finished);
            }
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    if !failures.is_empty() {
        bail!(
            "{} of {} runs failed ({} are kept): {}",
            failures.len(),
            jobs.len(),
            stored.into_inner(),
            failures.join("; ")
        );
    }
    Ok(jobs.iter().map(|job| done.remove(&job.name).expect("every job was run or was there")).collect())
}

/// The file of finished runs, locked for as long as this lives.
struct Store {
    file: Mutex<File>,
}

impl Store {
    fn open<R: DeserializeOwned>(folder: &Path) -> anyhow::Result<(Self, BTreeMap<String, Finished<R>>)> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        fs::write(folder.join(".gitignore"), "*\n").with_context(|| folder.display().to_string())?;
        let path = folder.join("runs.jsonl");
        let named = || path.display().to_string();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(named)?;
        if file.try_lock().is_err() {
            bail!("{}: another process is writing here", path.display());
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(named)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        file.set_len(whole as u64).with_context(named)?;
        file.seek(SeekFrom::End(0)).with_context(named)?;
        // A line that another version wrote in another form is as good as not there.
        let done = bytes[..whole]
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Finished<R>>(line).ok())
            .map(|finished| (finished.run.clone(), finished))
            .collect();
        Ok((Self { file: Mutex::new(file) }, done))
    }

    fn append<R: Serialize>(&self, finished: &Finished<R>) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(finished).context("a result")?;
        line.push(b'\n');
        let mut file = self.file.lock().expect("no thread panics while it writes");
        file.write_all(&line).and_then(|()| file.sync_data()).context("partial/runs.jsonl")
    }
}

/// A panic in a run becomes an error with its name.
fn caught<R>(run: &str, work: impl FnOnce() -> R) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let said = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        anyhow::anyhow!("run {run} panicked: {said}")
    })
}

fn progress(n_jobs: usize, n_done: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(n_jobs as u64), ProgressDrawTarget::stderr_with_hz(4));
    let style = "{bar:40} {pos}/{len} runs, {elapsed} gone, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).expect("the template is right"));
    bar.set_position(n_done as u64);
    // The time left is judged by the runs of this process only.
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(n: u64) -> Vec<Job<u64>> {
        (0..n)
            .map(|seed| Job {
                name: format!("test/s/c/{seed}"),
                hash: hash(&[&seed.to_le_bytes()]),
                what: seed,
            })
            .collect()
    }

    fn results(finished: &[Finished<f64>]) -> Vec<(String, f64)> {
        finished.iter().map(|finished| (finished.run.clone(), finished.result)).collect()
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // as `run_all` calls it
    fn square_root(seed: &u64) -> f64 {
        (*seed as f64).sqrt()
    }

    fn fresh() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn any_number_of_threads_gives_the_same_results_in_the_same_order() {
        let of =
            |threads| results(&run_all(fresh().path(), &jobs(40), threads, &square_root).expect("they run"));
        assert_eq!(of(1), of(2));
        assert_eq!(of(1), of(8));
    }

    #[test]
    fn a_cut_file_goes_on_to_the_same_results_and_reruns_only_what_is_lost() {
        let whole = fresh();
        let expected = results(&run_all(whole.path(), &jobs(12), 2, &square_root).expect("they run"));
        let bytes = fs::read(whole.path().join("partial/runs.jsonl")).expect("it is there");
        // Every length at which the process may have died: whole lines, torn lines, nothing.
        for cut in (0..=bytes.len()).step_by(37) {
            let out = fresh();
            fs::create_dir(out.path().join("partial")).expect("a folder");
            fs::write(out.path().join("partial/runs.jsonl"), &bytes[..cut]).expect("it is written");
            let kept = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            let rerun = AtomicUsize::new(0);
            let finished = run_all(out.path(), &jobs(12), 2, &|seed| {
                rerun.fetch_add(1, Ordering::Relaxed);
                square_root(seed)
            });
            assert_eq!(results(&finished.expect("they run")), expected, "cut at {cut}");
            assert_eq!(rerun.into_inner(), 12 - kept, "cut at {cut}");
            let again = run_all::<_, f64>(out.path(), &jobs(12), 2, &|_| unreachable!("all are on disk"));
            assert_eq!(results(&again.expect("they are there")), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_run_whose_inputs_changed_is_run_again() {
        let out = fresh();
        run_all(out.path(), &jobs(3), 1, &square_root).expect("they run");
        let mut changed = jobs(3);
        changed[1].hash = hash(&[b"other"]);
        let rerun = Mutex::new(Vec::new());
        run_all(out.path(), &changed, 1, &|seed| {
            rerun.lock().expect("one thread").push(*seed);
            0.0
        })
        .expect("they run");
        assert_eq!(rerun.into_inner().expect("one thread"), [1]);
    }

    #[test]
    fn a_panic_names_its_run_and_the_others_are_kept() {
        let out = fresh();
        let failing = |seed: &u64| if *seed == 2 { panic!("no such luck") } else { square_root(seed) };
        let error = run_all(out.path(), &jobs(4), 2, &failing).expect_err("one panics");
        assert_eq!(
            error.to_string(),
            "1 of 4 runs failed (3 are kept): run test/s/c/2 panicked: no such luck"
        );
        let rerun = AtomicUsize::new(0);
        run_all(out.path(), &jobs(4), 2, &|seed| {
            rerun.fetch_add(1, Ordering::Relaxed);
            square_root(seed)
        })
        .expect("they run");
        assert_eq!(rerun.into_inner(), 1);
    }

    #[test]
    fn a_journal_answers_from_disk_what_was_made_of_the_same_things() {
        let out = fresh();
        let ask = |name: &str, hash: &str, value: f64| {
            let journal = Journal::<f64>::open(out.path()).expect("it is free");
            journal.get_or_run(name, hash, || value).expect("it runs")
        };
        assert_eq!(ask("a", "x", 1.0), 1.0);
        assert_eq!(ask("a", "x", 2.0), 1.0);
        assert_eq!(ask("a", "y", 3.0), 3.0);
        // Lines of another kind of run in the same file are nobody's here.
        run_all(out.path(), &jobs(3), 1, &|seed| vec![*seed]).expect("they run");
        assert_eq!(ask("a", "y", 4.0), 3.0);
    }

    #[test]
    fn two_processes_do_not_write_into_one_folder() {
        let out = fresh();
        let _held = Store::open::<f64>(&out.path().join("partial")).expect("it is free");
        let error = run_all(out.path(), &jobs(1), 1, &square_root).expect_err("it is held");
        assert!(error.to_string().ends_with("another process is writing here"), "{error}");
    }

    #[test]
    fn hashes_tell_parts_apart() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[b"ab"]).len(), 32);
        // FIPS 180-2, appendix B.1.
        assert!(sha256(b"abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
