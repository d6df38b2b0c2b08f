//! The library's news on standard error.

use super::ui::{Bar, Ui};
use crate::anomem::{EpochRecord, MemoryRecord, Observer, Phase, ScaleRecord};
use crate::gpu::{Gpu, Profile};
use crate::report::{EventLog, write_atomic};
use crate::{Error, Result};
use std::path::Path;

/// Shows what a training or scoring run tells.
pub(super) struct Progress {
    ui: Ui,
    bar: Option<(&'static str, Bar)>,
    events: Option<EventLog>,
}

impl Progress {
    pub(super) fn new(ui: Ui) -> Self {
        Self { ui, bar: None, events: None }
    }

    pub(super) fn ui(&self) -> &Ui {
        &self.ui
    }

    /// From now on writes the numbers of each epoch to `events` too.
    pub(super) fn events_to(&mut self, events: EventLog) {
        self.events = Some(events);
    }

    /// Says which adapter computes.
    pub(super) fn adapter(&self, gpu: &Gpu) {
        let r = gpu.report();
        let (class, backend, tuned) = (r.class, &r.backend, r.tuned());
        self.ui.note(&format!("adapter: {} ({class} through {backend}){tuned}", r.name));
    }

    /// Lists images that were left out.
    pub(super) fn skipped(&self, errors: &[Error]) {
        self.ui.left_out(errors);
    }

    /// Writes a profile's trace and prints its table.
    pub(super) fn profile(&self, profile: &Profile, path: &Path) -> Result<()> {
        write_atomic(path, profile.trace().to_string().as_bytes())?;
        super::print(&format!("{profile}\n"))
    }
}

impl Observer for Progress {
    fn advance(&mut self, work: &'static str, done: u64, total: u64) {
        if self.bar.as_ref().is_none_or(|(name, _)| *name != work) {
            self.bar = Some((work, self.ui.bar(work)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.update(done as usize, total as usize);
        }
        if done == total {
            self.bar = None;
        }
    }

    fn epoch(&mut self, r: &EpochRecord, epochs: usize) {
        let of_scale = |s: &ScaleRecord| {
            let mut parts = Vec::new();
            if let Some(c) = &s.contrast {
                let (contrast, chance) = (c.contrast, c.chance);
                parts.push(format!("contrast {contrast:.3} (chance {chance:.2})"));
                parts.extend(c.variance.map(|variance| format!("variance {variance:.4}")));
            }
            parts.extend(s.image_hinge.map(|hinge| format!("image hinge {hinge:.3}")));
            parts.extend(s.position_hinge.map(|hinge| format!("position hinge {hinge:.3}")));
            if let Some(MemoryRecord { entropy, used, .. }) = &s.memory {
                parts.push(format!("entropy {entropy:.2}, used {:.0} %", 100.0 * used));
            }
            format!("stage {}: {}", s.stage, parts.join(", "))
        };
        let scales: Vec<String> = r.scales.iter().map(of_scale).collect();
        let place = match r.phase {
            Phase::Stage1 | Phase::Joint => format!("epoch {}/{epochs}", r.epoch),
            Phase::Stage2 => format!("heads, step {}", r.step),
        };
        self.ui.note(&format!(
            "{place}  loss {:.4}  {}  lr {:.4}  gradient {:.2}  {:.0} images/s",
            r.loss,
            scales.join("; "),
            r.lr,
            r.grad_norm,
            r.images_per_second
        ));
        if let Some(events) = &mut self.events
            && let Err(error) = r.scalars().and_then(|list| events.add(r.step, &list))
        {
            // Curves that cannot be drawn are no fault of the training.
            self.events = None;
            self.warn(&format!("no more is written for TensorBoard: {error}"));
        }
    }

    fn note(&mut self, text: &str) {
        self.ui.note(text);
    }

    fn warn(&mut self, text: &str) {
        self.ui.note(&format!("warning: {text}"));
    }
}
