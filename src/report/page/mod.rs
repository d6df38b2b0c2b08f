//! `report.html`: a run on one page that needs no other file and no network.
//!
//! ```text
//! Facts, Curves, Learned (training.json), Tested (test.json), configuration -> Page -> HTML
//! ```
//! [`Learned`] and [`Tested`] are what cannot be had again without images and GPU; they are kept in
//! the run folder, so that the page can be made anew from there.

mod learned;
mod tested;

pub use learned::{Learned, Patches, Prototype, Views};
pub use tested::{Scored, Shown, Tested, Threshold};

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::chart::Lines;
use super::picture::Picture;
use super::write_atomic;
use crate::{Error, Result};

/// What the page looks like, light and dark.
const STYLE: &str = include_str!("style.css");

/// A browser loads nothing for this page from anywhere, whatever its text says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// All that is told of a run.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The run's name.
    pub name: String,
    /// What and its value: data, network, adapter, versions.
    pub facts: Vec<(String, String)>,
    /// How the training went.
    pub curves: Vec<Curves>,
    /// What was learned from.
    pub learned: Option<Learned>,
    /// What a test found.
    pub tested: Option<Tested>,
    /// How to get a test, where there is none.
    pub how_to_test: String,
    /// The configuration, TOML.
    pub config: String,
}

/// Charts that belong together.
#[derive(Debug, Clone)]
pub struct Curves {
    /// Their heading.
    pub title: String,
    /// How to read them.
    pub text: String,
    /// What to worry about.
    pub notes: Vec<String>,
    /// The charts.
    pub charts: Vec<Lines>,
}

impl Page {
    /// Writes the page to `path`, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path, self.to_html().as_bytes())
    }

    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.name) " - anomem" }
                    style { (PreEscaped(STYLE)) }
                }
                body { main { (self.body()) } }
            }
        };
        page.into_string()
    }

    fn body(&self) -> Markup {
        html! {
            header {
                p.kicker { "anomem report" }
                h1 { (self.name) }
                dl.facts { @for (what, value) in &self.facts { div { dt { (what) } dd { (value) } } } }
                nav { ul {
                    li { a href="#result" { "Result" } }
                    @if self.tested.is_some() { li { a href="#pictures" { "Errors and finds" } } }
                    @for (index, curves) in self.curves.iter().enumerate() { li { a href=(format!("#curves{index}")) { (curves.title) } } }
                    @if self.learned.is_some() { li { a href="#images" { "Images" } } li { a href="#prototypes" { "Prototypes" } } }
                    li { a href="#configuration" { "Configuration" } }
                } }
            }
            @match &self.tested {
                Some(tested) => (tested.draw()),
                None => section #result {
                    h2 { "Result" }
                    p.note { "Not tested yet. " (self.how_to_test) }
                }
            }
            @for (index, curves) in self.curves.iter().enumerate() {
                section id=(format!("curves{index}")) {
                    h2 { (curves.title) }
                    p { (curves.text) }
                    @for note in &curves.notes { p.note { (note) } }
                    div.charts { @for chart in &curves.charts { (chart.draw()) } }
                }
            }
            @if let Some(learned) = &self.learned { (learned.draw()) }
            section #configuration {
                h2 { "Configuration" }
                p { "Every setting of this run, as " code { "config.toml" } " holds it." }
                pre { code { (self.config) } }
            }
        }
    }
}

/// An image with the words below it.
fn picture(picture: &Picture, what: &str) -> Markup {
    html! { img src=(picture.uri()) alt=(what) title=(what); }
}

/// Writes a part of the page to `path` as JSON, into a new folder if there is none.
///
/// # Errors
/// [`Error::File`] when it cannot be written.
pub fn keep(path: impl AsRef<Path>, part: &impl Serialize) -> Result<()> {
    let json = serde_json::to_vec(part);
    let json = json.map_err(|error| Error::Internal(format!("part of a page: {error}")))?;
    let path = path.as_ref();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Error::file(folder, error))?;
    }
    write_atomic(path, &json)
}

/// What [`keep`] wrote to `path`; nothing where there is no such file.
///
/// # Errors
/// [`Error::File`] when it cannot be read.
pub fn kept<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Option<T>> {
    let path = path.as_ref();
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| Error::file(path, error))?,
    };
    let part = serde_json::from_str(&text);
    part.map(Some).map_err(|error| Error::file(path, format!("not a part of a page: {error}")))
}

#[cfg(test)]
mod tests;
