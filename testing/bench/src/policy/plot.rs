//! The plot: times and sizes over the number of policies.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::size::Measured;

/// Draws two panels side by side into an SVG file.
pub(super) fn draw(path: &Path, measured: &[Measured]) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let area = SVGBackend::new(path, (1000, 420)).into_drawing_area();
    let drawn =
        panels(&area, measured).and_then(|()| area.present().map_err(|error| error.to_string()));
    drawn.map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))
}

type Line<'a> = (&'a str, RGBColor, fn(&Measured) -> f64);

fn panels(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    measured: &[Measured],
) -> Result<(), String> {
    area.fill(&WHITE).map_err(|error| error.to_string())?;
    let halves = area.split_evenly((1, 2));
    let times: [Line<'_>; 3] = [
        ("first, from disk, p99", RED, |one| one.first_p99),
        ("warm p99", BLUE, |one| one.warm_p99),
        ("warm p50", GREEN, |one| one.warm_p50),
    ];
    panel(&halves[0], "evaluation (µs)", measured, &times)?;
    let sizes: [Line<'_>; 2] = [
        ("all loaded", RED, |one| one.resident),
        ("as in the operator", BLUE, |one| one.flat_resident),
    ];
    panel(&halves[1], "resident size (MB)", measured, &sizes)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    measured: &[Measured],
    lines: &[Line<'_>],
) -> Result<(), String> {
    #[expect(clippy::cast_precision_loss, reason = "at most thousands")]
    let count = |one: &Measured| one.count as f64;
    let most = measured.iter().map(count).fold(1.0, f64::max);
    let values = measured
        .iter()
        .flat_map(|one| lines.iter().map(move |line| line.2(one)));
    let top = values.fold(1.0, f64::max) * 1.2;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((1.0..most).log_scale(), (1.0..top).log_scale())
        .map_err(|error| error.to_string())?;
    chart
        .configure_mesh()
        .x_desc("policies")
        .draw()
        .map_err(|error| error.to_string())?;
    for (name, colour, value) in lines {
        let points: Vec<(f64, f64)> = measured
            .iter()
            .map(|one| (count(one), value(one)))
            .collect();
        let (own, colour) = (*colour, *colour);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))
            .map_err(|error| error.to_string())?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], own));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(|error| error.to_string())
}
