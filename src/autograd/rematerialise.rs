//! Rematerialising: what is cheap to compute again is given up between its uses, where memory is needed most.
//!
//! In a residual network these are the results of batch norms: the convolution behind reads them in the forward pass, and
//! its weights' gradient in the backward pass, while the batch norm's own gradient keeps its input anyway. One more pass
//! over the map, and between the two nothing of it is in memory. (Chen et al. 2016, arXiv 1604.06174, section 3.)

use super::role::Role;
use super::tape::{Dispatch, Place, Tape, Value};
use std::collections::{BTreeMap, HashMap};

/// Launches after which a temporary's memory is free, until the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hole {
    value: Value,
    /// The launch that writes the value, first and again.
    writer: usize,
    /// The last use before.
    from: usize,
    /// The use before which it is written again.
    to: usize,
}

/// The uses of a value, by the numbers of launches: sorted, the first one writes.
#[derive(Default)]
struct Uses {
    bytes: u64,
    all: Vec<usize>,
    writers: Vec<usize>,
    /// To the end of the step.
    kept: bool,
}

struct Schedule<'a> {
    tape: &'a Tape,
    launches: &'a [Dispatch],
    uses: BTreeMap<Value, Uses>,
    holes: Vec<Hole>,
}

/// `launches` with some of them once more, so that less memory is in use where most is. `bytes` of a temporary.
pub(super) fn rematerialised(
    tape: &Tape,
    launches: Vec<Dispatch>,
    bytes: impl Fn(Value) -> u64,
) -> Vec<Dispatch> {
    let mut schedule = Schedule::of(tape, &launches, bytes);
    while let Some(hole) = schedule.best_hole() {
        schedule.take(hole);
    }
    let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
    // What was chosen later may be read by what was chosen before.
    for hole in schedule.holes.iter().rev() {
        before.entry(hole.to).or_default().push(hole.writer);
    }
    let again = |writer: &usize| Dispatch { again: true, ..launches[*writer].clone() };
    let with_those_before = |(i, launch): (usize, &Dispatch)| {
        let writers = before.get(&i).into_iter().flatten();
        writers.map(again).chain([launch.clone()]).collect::<Vec<_>>()
    };
    launches.iter().enumerate().flat_map(with_those_before).collect()
}

impl<'a> Schedule<'a> {
    fn of(tape: &'a Tape, launches: &'a [Dispatch], bytes: impl Fn(Value) -> u64) -> Self {
        let mut uses: BTreeMap<Value, Uses> = BTreeMap::new();
        for (i, launch) in launches.iter().enumerate() {
            for (v, write) in &launch.bindings {
                let root = tape.root(*v);
                let of = uses.entry(root).or_default();
                of.all.push(i);
                if *write {
                    of.writers.push(i);
                }
                if tape.info(root).place == Place::Temporary {
                    of.bytes = bytes(root);
                }
            }
        }
        for v in &tape.kept {
            if let Some(of) = uses.get_mut(&tape.root(*v)) {
                of.kept = true;
            }
        }
        Self { tape, launches, uses, holes: Vec::new() }
    }

    /// The launch during which most memory is in use.
    fn peak(&self) -> Option<usize> {
        let end = self.launches.len();
        // What comes to be in use with each launch, less what was up to the one before.
        let mut change = vec![0_i128; end + 1];
        for of in self.uses.values().filter(|of| of.bytes > 0) {
            let (Some(first), Some(last)) = (of.all.first(), of.all.last()) else { continue };
            change[*first] += i128::from(of.bytes);
            change[if of.kept { end } else { last + 1 }] -= i128::from(of.bytes);
        }
        for hole in &self.holes {
            let bytes = i128::from(self.uses[&hole.value].bytes);
            change[hole.from + 1] -= bytes;
            change[hole.to] += bytes;
        }
        let sums = change.iter().scan(0, |sum, by| {
            *sum += by;
            Some(*sum)
        });
        sums.enumerate().max_by_key(|(i, sum)| (*sum, std::cmp::Reverse(*i))).map(|(i, _)| i)
    }

    /// The largest hole at the peak.
    fn best_hole(&self) -> Option<Hole> {
        let peak = self.peak()?;
        let holes = (0..peak).filter_map(|writer| self.hole(writer, peak));
        holes.max_by_key(|hole| (self.uses[&hole.value].bytes, std::cmp::Reverse(hole.writer)))
    }

    /// The hole around launch `peak` in what launch `writer` writes, if it can be written again behind it.
    fn hole(&self, writer: usize, peak: usize) -> Option<Hole> {
        let launch = &self.launches[writer];
        Role::of(&launch.kernel).filter(|role| matches!(role, Role::Norm | Role::Residual))?;
        let (result, inputs) = launch.bindings.split_last()?;
        let value = self.tape.root(result.0);
        let of = &self.uses[&value];
        if of.kept || of.bytes == 0 || of.writers != [writer] {
            return None;
        }
        let to = of.all[of.all.partition_point(|i| *i <= peak)..].first().copied()?;
        let from = of.all[..of.all.partition_point(|i| *i < peak)].last().copied()?;
        let hole = Hole { value, writer, from, to };
        let is_there = |(v, _): &(Value, bool)| self.is_there(self.tape.root(*v), writer, to);
        let empty = from < peak && peak < to && !of.all.contains(&peak);
        (empty && !self.holes.contains(&hole) && inputs.iter().all(is_there)).then_some(hole)
    }

    /// Whether `input`, which launch `writer` reads, has the same values in memory before launch `at`.
    fn is_there(&self, input: Value, writer: usize, at: usize) -> bool {
        let of = &self.uses[&input];
        let same = !of.writers.iter().any(|w| (writer..at).contains(w));
        let lives = of.bytes == 0 || of.kept || of.all.last().is_some_and(|last| *last >= at);
        let covered = self.holes.iter().any(|h| h.value == input && h.from < at && at <= h.to);
        same && lives && !covered
    }

    fn take(&mut self, hole: Hole) {
        for (v, _) in &self.launches[hole.writer].bindings {
            let root = self.tape.root(*v);
            if let Some(of) = self.uses.get_mut(&root).filter(|_| root != hole.value) {
                of.all.insert(of.all.partition_point(|i| *i < hole.to), hole.to);
            }
        }
        self.holes.push(hole);
    }
}
