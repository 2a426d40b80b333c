//! Usage of instances: patterns and shapes.

use chrono::Weekday;

use super::super::file;
use super::super::metrics::{Busy, Peak, Shape, Usage};
use super::{Read, Reader};

impl Reader {
    pub(super) fn usage(&self, file: &file::UsageFile, line: u64) -> Read<Usage> {
        let shapes = match file {
            file::UsageFile::Like(pattern) => return Ok(pattern_usage(*pattern)),
            file::UsageFile::Shapes(shapes) => shapes,
        };
        let mut usage = shapes.like.map(pattern_usage).unwrap_or_default();
        for (what, shape, slot, most) in [
            ("cpu", &shapes.cpu, &mut usage.cpu, 100.0),
            ("network_in", &shapes.network_in, &mut usage.network_in, f64::MAX),
            ("network_out", &shapes.network_out, &mut usage.network_out, f64::MAX),
            ("disk_operations", &shapes.disk_operations, &mut usage.disk_operations, f64::MAX),
        ] {
            if let Some(shape) = shape {
                *slot = Some(self.shape(shape, what, most, line)?);
            }
        }
        usage.missing = shapes.missing.iter().map(|span| self.span(span)).collect();
        usage.unreadable = shapes.unreadable.iter().map(|span| self.span(span)).collect();
        Ok(usage)
    }

    fn shape(&self, file: &file::ShapeFile, what: &str, most: f64, line: u64) -> Read<Shape> {
        let detail = match file {
            file::ShapeFile::Constant(level) => {
                &file::ShapeDetail { level: *level, noise: 0.0, busy: Vec::new(), peaks: Vec::new(), series: None }
            }
            file::ShapeFile::Shape(detail) => detail,
        };
        let series = detail.series.iter().flat_map(|series| series.values.iter().flatten());
        let levels = std::iter::once(&detail.level)
            .chain(detail.busy.iter().map(|busy| &busy.level))
            .chain(detail.peaks.iter().map(|peak| &peak.level))
            .chain(series);
        for level in levels {
            if !(0.0..=most).contains(level) {
                let accepted = if most == 100.0 { "0 to 100 percent" } else { "0 and more" };
                return self.wrong(line, format!("usage, {what}: level {level} given; accepted: {accepted}"));
            }
        }
        if !(0.0..=1.0).contains(&detail.noise) {
            return self.wrong(line, format!("usage, {what}: noise {} given; accepted: 0 to 1", detail.noise));
        }
        if let Some(busy) = detail.busy.iter().find(|busy| busy.from_hour >= busy.until_hour || busy.until_hour > 24) {
            let given = format!("hours {} to {}", busy.from_hour, busy.until_hour);
            return self.wrong(line, format!("usage, {what}: {given} given; accepted: 0 to 24, rising"));
        }
        let days = detail
            .series
            .iter()
            .flat_map(|series| self.at(series.from).date_naive().iter_days().zip(series.values.iter().copied()));
        Ok(Shape {
            base: detail.level,
            noise: detail.noise,
            busy: detail.busy.iter().map(busy).collect(),
            peaks: detail.peaks.iter().map(|peak| Peak { at: self.at(peak.at), level: peak.level }).collect(),
            days: days.collect(),
        })
    }
}

fn busy(file: &file::BusyFile) -> Busy {
    let weekday = |day: &file::Day| match day {
        file::Day::Mon => Weekday::Mon,
        file::Day::Tue => Weekday::Tue,
        file::Day::Wed => Weekday::Wed,
        file::Day::Thu => Weekday::Thu,
        file::Day::Fri => Weekday::Fri,
        file::Day::Sat => Weekday::Sat,
        file::Day::Sun => Weekday::Sun,
    };
    Busy {
        from_hour: file.from_hour,
        until_hour: file.until_hour,
        weekdays: file.weekdays.iter().map(weekday).collect(),
        level: file.level,
    }
}

/// The ready patterns, as `docs/worlds.md` describes them.
fn pattern_usage(pattern: file::Pattern) -> Usage {
    let noisy = |level: f64| Some(Shape { base: level, noise: 0.15, ..Shape::default() });
    let all = |cpu: Shape, network_in: f64, network_out: f64, disk: f64| Usage {
        cpu: Some(cpu),
        network_in: noisy(network_in),
        network_out: noisy(network_out),
        disk_operations: noisy(disk),
        ..Usage::default()
    };
    let at_times = |base: f64, level: f64, from_hour: u32, until_hour: u32, weekdays: &[Weekday]| Shape {
        base,
        noise: 0.1,
        busy: vec![Busy { from_hour, until_hour, weekdays: weekdays.to_vec(), level }],
        ..Shape::default()
    };
    let workdays = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let idle = Shape { base: 1.4, noise: 0.2, ..Shape::default() };
    match pattern {
        file::Pattern::Idle => all(idle, 120_000.0, 80_000.0, 1_500.0),
        file::Pattern::Light => all(Shape::steady(9.0), 6e6, 4e6, 40_000.0),
        file::Pattern::Busy => all(Shape::steady(46.0), 2e9, 3e9, 900_000.0),
        file::Pattern::Office => all(at_times(3.0, 55.0, 7, 18, &workdays), 4.5e7, 3.5e7, 300_000.0),
        file::Pattern::Batch => all(at_times(1.3, 92.0, 3, 4, &[Weekday::Sun]), 200_000.0, 100_000.0, 9_000.0),
    }
}
