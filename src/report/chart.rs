//! Charts as SVG inside HTML: text stays text, and colours are the page's (`page/style.css`), which
//! knows light and dark.
//!
//! Values that are not finite leave a gap. Hovering over a chart tells the numbers below the pointer,
//! by the browser's own means.

use maud::{Markup, html};

/// Colours of series; more share the last.
const COLOURS: usize = 6;
/// Stands for the colour of text.
const NEUTRAL: usize = usize::MAX;

/// Size of the drawing and of the borders around its axes, in units of its text, which is 12 high.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
/// Half the longest label of a tick.
const RIGHT: f64 = 24.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// Ticks of an axis at most.
const TICKS: usize = 7;
/// Points whose numbers are told.
const TOLD: usize = 400;

/// What is drawn along an axis.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// Its name and unit.
    pub label: String,
    /// What it shows; of what is drawn, rounded, if not given.
    pub range: Option<[f64; 2]>,
    /// Ticks at whole numbers only.
    pub whole: bool,
}

impl Axis {
    /// An axis as long as what is drawn.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// An axis from 0 to 1.
    pub fn share(label: impl Into<String>) -> Self {
        Self { range: Some([0.0, 1.0]), ..Self::new(label) }
    }
}

/// A named line.
#[derive(Debug, Clone)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<[f64; 2]>,
}

/// A value to compare with.
#[derive(Debug, Clone)]
pub struct Level {
    /// For the legend.
    pub name: String,
    /// Where it lies.
    pub value: f64,
    /// The series whose colour it has.
    pub series: usize,
}

/// Lines over a common axis.
#[derive(Debug, Clone)]
pub struct Lines {
    /// What is shown.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Dashed, across the whole chart.
    pub levels: Vec<Level>,
    /// A dashed line from one corner to the other, and its name.
    pub diagonal: Option<String>,
    /// An upright dashed line.
    pub mark: Option<(String, f64)>,
}

impl Lines {
    /// The chart.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let every = || self.series.iter().flat_map(|series| &series.points);
        let finite = || every().filter(|point| point.iter().all(|v| v.is_finite()));
        let levels = self.levels.iter().map(|level| level.value);
        let mark = self.mark.iter().map(|mark| mark.1);
        let x = Scale::new(&self.x, finite().map(|point| point[0]).chain(mark));
        let y = Scale::new(&self.y, finite().map(|point| point[1]).chain(levels));
        let (Some(x), Some(y)) = (x, y) else { return empty(&self.title) };
        let plot = Plot { x, y };
        let keys = self.series.iter().enumerate().map(|(i, series)| Key::line(&series.name, i));
        // The title names a line that is alone.
        let keys = keys.filter(|_| self.series.len() > 1);
        let dashed = self.levels.iter().map(|level| Key::dashed(&level.name, level.series));
        let mark = self.mark.as_ref().filter(|mark| mark.1.is_finite());
        let neutral = self.diagonal.iter().chain(mark.map(|mark| &mark.0));
        let dashed = dashed.chain(neutral.map(|name| Key::dashed(name, NEUTRAL)));
        let inside = html! {
            @if self.diagonal.is_some() { path.level.s9 d=(format!("M{}L{}", plot.at([0.0, 0.0]), plot.at([1.0, 1.0]))) {} }
            @for level in self.levels.iter().filter(|level| level.value.is_finite()) {
                path.level.(colour(level.series)) d=(format!("M{LEFT:.1} {0:.1}H{1:.1}", plot.up(level.value), WIDTH - RIGHT)) {}
            }
            @for (index, series) in self.series.iter().enumerate() {
                path.line.(colour(index)) d=(plot.path(&series.points)) {}
                @for point in lonely(&series.points) {
                    circle.dot.(colour(index)) cx=(px(plot.across(point[0]))) cy=(px(plot.up(point[1]))) r="2.5" {}
                }
            }
            @if let Some((_, value)) = mark { (plot.upright(*value)) }
            (self.told(&plot))
        };
        plot.figure(&self.title, [&self.x.label, &self.y.label], keys.chain(dashed), inside)
    }

    /// What hovering tells: where all lines have the same places, their values there.
    fn told(&self, plot: &Plot) -> Markup {
        let places: Vec<f64> = self
            .series
            .first()
            .map(|s| s.points.iter().map(|p| p[0]).collect())
            .unwrap_or_default();
        let common =
            self.series.iter().all(|s| s.points.iter().map(|p| p[0]).eq(places.iter().copied()));
        let stride = places.len().div_ceil(TOLD).max(1);
        let wide = (WIDTH - LEFT - RIGHT) * stride as f64 / places.len().max(1) as f64;
        html! {
            @if common && places.iter().all(|place| place.is_finite()) {
                @for (index, place) in places.iter().enumerate().step_by(stride) {
                    rect.told x=(px(plot.across(*place) - wide / 2.0)) y=(TOP) width=(px(wide)) height=(px(HEIGHT - TOP - BOTTOM)) {
                        title {
                            (self.x.label) " " (number(*place, 4))
                            @for series in &self.series { "\n" (series.name) ": " (number(series.points[index][1], 4)) }
                        }
                    }
                }
            }
        }
    }
}

/// How the scores of groups are spread.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// What is shown.
    pub title: String,
    /// Name of the values.
    pub label: String,
    /// Groups, each with the name and the values.
    pub groups: Vec<(String, Vec<f64>)>,
    /// An upright dashed line.
    pub mark: Option<(String, f64)>,
}

impl Histogram {
    /// The chart: of each group the share of its values in each bin.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let finite = |values: &[f64]| -> Vec<f64> {
            values.iter().copied().filter(|v| v.is_finite()).collect()
        };
        let groups: Vec<Vec<f64>> = self.groups.iter().map(|(_, values)| finite(values)).collect();
        let mark = self.mark.iter().map(|mark| mark.1).filter(|v| v.is_finite());
        let values = groups.iter().flatten().copied();
        let most = groups.iter().map(Vec::len).max().unwrap_or_default();
        let axis = Axis::new(self.label.clone());
        let Some(x) = Scale::new(&axis, values.chain(mark)).filter(|_| most > 0) else {
            return empty(&self.title);
        };
        let bins = ((2.0 * (most as f64).sqrt()) as usize).clamp(8, 48);
        let [low, high] = x.range;
        let bin = |v: f64| (((v - low) / (high - low) * bins as f64) as usize).min(bins - 1);
        let shares: Vec<Vec<f64>> = groups
            .iter()
            .map(|values| {
                let mut counts = vec![0.0; bins];
                values.iter().for_each(|v| counts[bin(*v)] += 100.0 / values.len() as f64);
                counts
            })
            .collect();
        let tallest = shares.iter().flatten().copied().fold(0.0, f64::max);
        let y = Axis { range: None, ..Axis::new("share of images, %") };
        let Some(y) = Scale::new(&y, [0.0, tallest].into_iter()) else { return empty(&self.title) };
        let plot = Plot { x, y };
        let edge = |i: usize| low + (high - low) * i as f64 / bins as f64;
        let keys = self.groups.iter().enumerate().map(|(i, (name, _))| Key::area(name, i));
        let marked = self.mark.iter().map(|(name, _)| Key::dashed(name, NEUTRAL));
        let inside = html! {
            @for (index, shares) in shares.iter().enumerate() {
                path.area.(colour(index)) d=(plot.steps(shares, &edge)) {}
            }
            @if let Some((_, value)) = self.mark.as_ref().filter(|mark| mark.1.is_finite()) { (plot.upright(*value)) }
            @for i in 0..bins {
                rect.told x=(px(plot.across(edge(i)))) y=(TOP) width=(px(plot.across(edge(i + 1)) - plot.across(edge(i)))) height=(px(HEIGHT - TOP - BOTTOM)) {
                    title {
                        (number(edge(i), 3)) " to " (number(edge(i + 1), 3))
                        @for ((name, _), shares) in self.groups.iter().zip(&shares) { "\n" (name) ": " (number(shares[i], 3)) " %" }
                    }
                }
            }
        };
        plot.figure(&self.title, [&self.label, "share of images, %"], keys.chain(marked), inside)
    }
}

/// A row of dots for each of some groups, one dot for each value.
#[derive(Debug, Clone)]
pub struct Strips {
    /// What is shown.
    pub title: String,
    /// Name of the values.
    pub label: String,
    /// The groups.
    pub rows: Vec<Strip>,
    /// An upright dashed line.
    pub mark: Option<(String, f64)>,
}

/// A group of named values.
#[derive(Debug, Clone)]
pub struct Strip {
    /// Stands before the row.
    pub name: String,
    /// The series whose colour it has.
    pub series: usize,
    /// Values, each with its name.
    pub dots: Vec<(f64, String)>,
}

/// Dots in a row and in all rows; of more values, so many evenly by rank, the outermost among them.
const DOTS: usize = 300;
const ALL_DOTS: usize = 4000;

impl Strips {
    /// The chart.
    #[must_use]
    pub fn draw(&self) -> Markup {
        const ROW: f64 = 26.0;
        const NAME: usize = 28;
        let values = self.rows.iter().flat_map(|row| &row.dots).map(|dot| dot.0);
        let mark = self.mark.iter().map(|mark| mark.1);
        let all = values.chain(mark).filter(|v| v.is_finite());
        let Some(x) = Scale::new(&Axis::new(""), all) else { return empty(&self.title) };
        let longest =
            self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
        let left = (longest.min(NAME) as f64 * 6.6 + 14.0).max(LEFT);
        // Wide, for it stands alone.
        let most = DOTS.min(ALL_DOTS / self.rows.len().max(1)).max(2);
        let (width, bottom) = (2.0 * WIDTH, TOP + ROW * self.rows.len() as f64);
        let across = |v: f64| left + x.share(v) * (width - left - RIGHT);
        let mark = self.mark.as_ref().filter(|mark| mark.1.is_finite());
        html! {
            figure.chart.wide {
                figcaption { (self.title) }
                (legend(mark.map(|(name, _)| Key::dashed(name, NEUTRAL)).into_iter()))
                svg viewBox=(format!("0 0 {width} {}", bottom + BOTTOM)) role="img" aria-label=(self.title) {
                    @for tick in &x.ticks {
                        path.grid d=(format!("M{:.1} {TOP}V{bottom}", across(*tick))) {}
                        text.tick x=(px(across(*tick))) y=(px(bottom + 16.0)) text-anchor="middle" { (x.text(*tick)) }
                    }
                    text.label x=(px((left + width - RIGHT) / 2.0)) y=(px(bottom + 35.0)) text-anchor="middle" { (self.label) }
                    @if let Some((_, value)) = mark { path.level.s9 d=(format!("M{:.1} {TOP}V{bottom}", across(*value))) {} }
                    @for (index, row) in self.rows.iter().enumerate() {
                        @let middle = TOP + ROW * (index as f64 + 0.5);
                        text.tick x=(px(left - 8.0)) y=(px(middle + 4.0)) text-anchor="end" { (shortened(&row.name, NAME)) }
                        @for (i, (value, title)) in thinned(&row.dots, most).into_iter().enumerate() {
                            circle.dot.(colour(row.series)) cx=(px(across(value))) cy=(px(middle + jitter(i))) r="3" {
                                title { (title) "\n" (number(value, 4)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Up to `most` finite values, rising; at least 2.
fn thinned(dots: &[(f64, String)], most: usize) -> Vec<(f64, &str)> {
    let finite = dots.iter().filter(|dot| dot.0.is_finite());
    let mut dots: Vec<(f64, &str)> = finite.map(|(value, name)| (*value, name.as_str())).collect();
    dots.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = dots.len().saturating_sub(1);
    if dots.len() <= most {
        return dots;
    }
    (0..most).map(|i| dots[i * last / (most - 1)]).collect()
}

/// Moves dots up and down, so that equal ones can be told apart; without chance.
fn jitter(index: usize) -> f64 {
    (index * 7 % 11) as f64 * 1.4 - 7.0
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let start: String = name.chars().take(most - 1).collect();
    start + "…"
}

/// An axis that knows its bounds.
struct Scale {
    range: [f64; 2],
    ticks: Vec<f64>,
    step: f64,
}

impl Scale {
    /// Of `values`; nothing where there is neither a finite one nor a range.
    fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Option<Self> {
        let [low, high] = match axis.range {
            Some(range) => range,
            None => {
                let none = [f64::INFINITY, f64::NEG_INFINITY];
                let bounds = values
                    .filter(|v| v.is_finite())
                    .fold(none, |[low, high], v| [low.min(v), high.max(v)]);
                if bounds == none {
                    return None;
                }
                bounds
            }
        };
        // Differences of numbers near the largest would overflow.
        let [low, high] = [low, high].map(|v| v.clamp(-1e300, 1e300));
        // A span that the digits of its bounds can tell apart.
        let least = 1e-9 * low.abs().max(high.abs()).max(1e-300);
        let (low, high) = if high - low > least {
            (low, high)
        } else {
            let around = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low - around, high + around)
        };
        let step = nice_step((high - low) / TICKS as f64, axis.whole);
        let range = match axis.range {
            Some(_) => [low, high],
            None if axis.whole => [low, high],
            None => [(low / step).floor() * step, (high / step).ceil() * step],
        };
        // A bound that is a multiple of the step may miss it by rounding.
        let (first, last) = ((range[0] / step - 1e-6).ceil(), (range[1] / step + 1e-6).floor());
        let count = (last - first).clamp(0.0, 2.0 * TICKS as f64) as usize;
        let ticks = (0..=count).map(|i| (first + i as f64) * step).collect();
        Some(Self { range, ticks, step })
    }

    /// Where `value` lies, 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let [low, high] = self.range;
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// A tick's number, as exact as the step between ticks.
    fn text(&self, tick: f64) -> String {
        let largest = self.range[0].abs().max(self.range[1].abs());
        if self.step < 1e-4 || largest >= 1e6 {
            return typographic(format!("{tick:.2e}"));
        }
        let decimals = (-self.step.log10() - 1e-9).ceil().max(0.0) as usize;
        // The tick at 0 may be an ulp off.
        let tick = if tick.abs() < self.step / 2.0 { 0.0 } else { tick };
        typographic(format!("{tick:.decimals$}"))
    }
}

/// The next of 1, 2, 5, 10, ... times a power of ten.
fn nice_step(least: f64, whole: bool) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|n| n * power).into_iter().find(|step| *step >= least * 0.999);
    let step = step.unwrap_or(10.0 * power);
    if whole { step.max(1.0) } else { step }
}

/// `value` with `digits` significant digits, plain where that is short.
pub(super) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return typographic(format!("{value:.*e}", digits - 1));
    }
    let before = if value == 0.0 { 1 } else { value.abs().log10().floor() as i32 + 1 };
    let text = format!("{value:.*}", (digits as i32 - before).max(0) as usize);
    let short =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    typographic(short.to_owned())
}

fn typographic(number: String) -> String {
    number.replace('-', "\u{2212}")
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn colour(series: usize) -> String {
    format!("s{}", if series == NEUTRAL { 9 } else { series.min(COLOURS - 1) })
}

/// Points between two gaps.
fn lonely(points: &[[f64; 2]]) -> impl Iterator<Item = &[f64; 2]> {
    let finite = |point: &[f64; 2]| point.iter().all(|v| v.is_finite());
    points.chunk_by(move |a, b| finite(a) && finite(b)).filter_map(move |run| match run {
        [point] if finite(point) => Some(point),
        _ => None,
    })
}

/// Two axes.
struct Plot {
    x: Scale,
    y: Scale,
}

impl Plot {
    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.share(x) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(y) * (HEIGHT - TOP - BOTTOM)
    }

    fn at(&self, [x, y]: [f64; 2]) -> String {
        format!("{:.1} {:.1}", self.across(x), self.up(y))
    }

    /// A line through `points`, broken where one is not finite. Points that fall together with the
    /// one before are left out.
    fn path(&self, points: &[[f64; 2]]) -> String {
        let (mut path, mut last) = (String::new(), None);
        for point in points {
            let here = point.iter().all(|v| v.is_finite()).then(|| self.at(*point));
            if let Some(here) = here.as_ref().filter(|here| last.as_ref() != Some(*here)) {
                path += if last.is_none() { "M" } else { "L" };
                path += here;
            }
            last = here;
        }
        path
    }

    /// The outline of bars of `heights` between `edge`s, down to 0.
    fn steps(&self, heights: &[f64], edge: &dyn Fn(usize) -> f64) -> String {
        let mut path = format!("M{}", self.at([edge(0), 0.0]));
        for (i, height) in heights.iter().enumerate() {
            path += &format!("V{:.1}H{:.1}", self.up(*height), self.across(edge(i + 1)));
        }
        path + &format!("V{:.1}Z", self.up(0.0))
    }

    fn upright(&self, x: f64) -> Markup {
        html! { path.level.s9 d=(format!("M{:.1} {TOP:.1}V{:.1}", self.across(x), HEIGHT - BOTTOM)) {} }
    }

    fn figure<'a>(
        &self,
        title: &str,
        [x_label, y_label]: [&str; 2],
        keys: impl Iterator<Item = Key<'a>>,
        inside: Markup,
    ) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            figure.chart {
                figcaption { (title) }
                (legend(keys))
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                    @for tick in &self.y.ticks {
                        path.grid d=(format!("M{LEFT} {:.1}H{right}", self.up(*tick))) {}
                        text.tick x=(px(LEFT - 7.0)) y=(px(self.up(*tick) + 4.0)) text-anchor="end" { (self.y.text(*tick)) }
                    }
                    path.axis d=(format!("M{LEFT} {bottom}H{right}")) {}
                    @for tick in &self.x.ticks {
                        path.axis d=(format!("M{:.1} {bottom}v4", self.across(*tick))) {}
                        text.tick x=(px(self.across(*tick))) y=(px(bottom + 17.0)) text-anchor="middle" { (self.x.text(*tick)) }
                    }
                    text.label x=(px((LEFT + right) / 2.0)) y=(px(HEIGHT - 5.0)) text-anchor="middle" { (x_label) }
                    text.label transform=(format!("translate(10 {:.1}) rotate(-90)", (TOP + bottom) / 2.0)) text-anchor="middle" { (y_label) }
                    (inside)
                }
            }
        }
    }
}

/// An entry of a legend.
struct Key<'a> {
    name: &'a str,
    series: usize,
    mark: &'static str,
}

impl<'a> Key<'a> {
    fn line(name: &'a str, series: usize) -> Self {
        Self { name, series, mark: "line" }
    }

    fn dashed(name: &'a str, series: usize) -> Self {
        Self { name, series, mark: "dashed" }
    }

    fn area(name: &'a str, series: usize) -> Self {
        Self { name, series, mark: "area" }
    }
}

fn legend<'a>(keys: impl Iterator<Item = Key<'a>>) -> Markup {
    let mut keys = keys.peekable();
    html! {
        @if keys.peek().is_some() {
            ul.legend {
                @for key in keys {
                    li { span.key.(key.mark).(colour(key.series)) {} (key.name) }
                }
            }
        }
    }
}

fn empty(title: &str) -> Markup {
    html! { figure.chart { figcaption { (title) } p.none { "Nothing to draw: no finite value." } } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(points: Vec<[f64; 2]>) -> Lines {
        Lines {
            title: "a < b & \"c\"".into(),
            x: Axis { whole: true, ..Axis::new("epoch") },
            y: Axis::new("loss"),
            series: vec![Series { name: "<stage>".into(), points }],
            levels: vec![Level { name: "chance".into(), value: 4.0, series: 0 }],
            diagonal: None,
            mark: None,
        }
    }

    fn ticks(range: [f64; 2]) -> Vec<String> {
        let scale = Scale::new(&Axis::new(""), range.into_iter()).unwrap();
        scale.ticks.iter().map(|tick| scale.text(*tick)).collect()
    }

    #[test]
    fn ticks_by_hand() {
        assert_eq!(ticks([0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks([-3.0, 9.0]), ["−4", "−2", "0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks([6.71, 7.8]), ["6.6", "6.8", "7.0", "7.2", "7.4", "7.6", "7.8"]);
        assert_eq!(ticks([5.0, 5.0]), ["4.4", "4.6", "4.8", "5.0", "5.2", "5.4", "5.6"]);
        let epochs = Axis { whole: true, ..Axis::new("") };
        let scale = Scale::new(&epochs, [1.0, 3.0].into_iter()).unwrap();
        assert_eq!(scale.ticks, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn numbers_by_hand() {
        let told = [0.0, 7.0, 7.799_999, -0.012_345, 1e-7, 123_456.7, f64::NAN];
        let expected = ["0", "7", "7.8", "−0.01235", "1.000e−7", "123457", "not finite"];
        assert_eq!(told.map(|v| number(v, 4)), expected);
    }

    #[test]
    fn lines_break_at_what_is_not_finite_and_lonely_points_are_dots() {
        let chart = lines(vec![[1.0, 5.0], [2.0, 4.0], [3.0, f64::NAN], [4.0, 4.5]]);
        let svg = chart.draw().into_string();
        let path = svg.split("class=\"line s0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("not finite") && svg.contains("&lt;stage&gt;"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;") && !svg.contains("NaN"));
    }

    #[test]
    fn histograms_show_shares_of_each_group() {
        let chart = Histogram {
            title: "scores".into(),
            label: "score".into(),
            groups: vec![("normal".into(), vec![0.0; 3]), ("odd".into(), vec![1.0, f64::INFINITY])],
            mark: Some(("threshold".into(), 0.5)),
        };
        let svg = chart.draw().into_string();
        assert!(svg.contains("normal: 100 %\nodd: 0 %") && svg.contains("odd: 100 %"), "{svg}");
        assert_eq!(svg.matches("class=\"area").count(), 2);
        let none = Histogram { groups: vec![("normal".into(), Vec::new())], ..chart };
        assert!(none.draw().into_string().contains("Nothing to draw"));
    }

    #[test]
    fn long_strips_keep_their_outermost_dots() {
        let dots: Vec<_> = (0..1000).map(|i| (f64::from(i * 37 % 1000), i.to_string())).collect();
        let kept = thinned(&dots, DOTS);
        assert_eq!((kept.len(), kept[0].0, kept[DOTS - 1].0), (DOTS, 0.0, 999.0));
    }

    proptest! {
        /// Whatever the numbers: no panic, no number that a browser cannot read, few ticks.
        #[test]
        fn any_numbers_can_be_drawn(points in prop::collection::vec((any::<f64>(), any::<f64>()), 0..9)) {
            let svg = lines(points.iter().map(|p| [p.0, p.1]).collect()).draw().into_string();
            let strange = svg.contains("NaN") || svg.contains("=\"inf") || svg.contains(" inf");
            prop_assert!(!strange, "{svg}");
            prop_assert!(svg.matches("class=\"tick\"").count() <= 6 * TICKS);
            let scores: Vec<f64> = points.iter().map(|p| p.0).collect();
            let groups = vec![("a".to_owned(), scores)];
            let chart = Histogram { title: "t".into(), label: "l".into(), groups, mark: None };
            prop_assert!(!chart.draw().into_string().contains("NaN"));
        }
    }
}
