//! What was learned from, and what was remembered of it.

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::picture as img;
use crate::report::picture::Picture;

/// Pictures of a training set and of the memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Normal images that there were.
    pub images: usize,
    /// Labelled anomalies that there were.
    pub anomalies: usize,
    /// Some training images.
    pub samples: Vec<Picture>,
    /// Images and what the network saw of them.
    pub views: Vec<Views>,
    /// The memory of each scale.
    pub memories: Vec<Patches>,
    /// Images that prototypes were compared with.
    pub compared: usize,
}

/// Augmented views of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Views {
    /// The image.
    pub image: Picture,
    /// What was made of it.
    pub views: Vec<Picture>,
}

/// Prototypes of one scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patches {
    /// The encoder's stage.
    pub stage: usize,
    /// How many prototypes there are.
    pub slots: usize,
    /// How many of them were the first recalled at any position.
    pub used: usize,
    /// Rows and columns of the map.
    pub positions: [usize; 2],
    /// The most recalled ones, the first of them most.
    pub prototypes: Vec<Prototype>,
}

/// One prototype.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prototype {
    /// Its number, from 0.
    pub slot: usize,
    /// Share of all positions that recall it first.
    pub share: f64,
    /// What lies around the positions whose features are nearest to it.
    pub patches: Vec<Picture>,
}

impl Learned {
    pub(super) fn draw(&self) -> Markup {
        html! {
            section #images {
                h2 { "Training images" }
                p { "Some of the images that the detector takes for normal. If one of them shows a defect, take it out of the set and train again." }
                div.samples { @for (i, sample) in self.samples.iter().enumerate() { (img(sample, &format!("training image {}", i + 1))) } }
                @if !self.views.is_empty() {
                    h3 { "What the network saw of them" }
                    p { "In training each image (left) is cut, mirrored and changed at random, as set in " code { "[augment]" } ". The network learns to see the same thing in all of these views. Changes that would turn a good part into a bad one are too strong. The views are shown as the network gets them: with " code { "image.standardise" } " brightness and contrast are evened out." }
                    div.views { @for views in &self.views { div.row {
                        (img(&views.image, "training image"))
                        @for view in &views.views { (img(view, "augmented view")) }
                    } } }
                }
            }
            @if !self.memories.is_empty() {
                section #prototypes {
                    h2 { "Prototypes" }
                    p { "The memory is a fixed number of prototypes of normal features. Each row below is one prototype: the places in training images whose features come nearest to it, each from another group of images, and the share of all places that recall it first. A row that shows one kind of thing is a sign of a memory that knows it. Measured on " (self.compared) " training images." }
                    @for memory in &self.memories { (memory.draw()) }
                }
            }
        }
    }
}

impl Patches {
    fn draw(&self) -> Markup {
        let [rows, columns] = self.positions;
        html! {
            h3 { "Stage " (self.stage) ": " (self.used) " of " (self.slots) " prototypes recalled; a map of " (rows) " × " (columns) " places" }
            div.prototypes { @for prototype in &self.prototypes {
                figure.prototype {
                    div { @for patch in &prototype.patches { (img(patch, "nearest place")) } }
                    figcaption { "no. " (prototype.slot) " · " (format!("{:.1} %", 100.0 * prototype.share)) }
                }
            } }
        }
    }
}
