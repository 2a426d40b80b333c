//! The yardstick: the bare SDK reading the same answers as a scan, and doing nothing with them.
//!
//! Same lists, same pages, same metric calls, four of those at once; each answer is parsed by the SDK, counted, and
//! dropped. Only the ids are kept that the metric calls must name.

use anyhow::Context;
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
use aws_sdk_ec2::types::InstanceStateName;
use chrono::{NaiveTime, TimeDelta};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::account::{PAGE, idle, now};

/// Metric queries in a call.
const QUERIES: usize = 500;

/// What went by.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    pub pages: usize,
    pub resources: usize,
    pub metric_calls: usize,
    pub points: usize,
}

/// Reads everything once.
pub async fn read(config: &SdkConfig) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let ec2 = aws_sdk_ec2::Client::new(config);
    let midnight = now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let from = midnight - TimeDelta::days(7);
    let mut ids: Vec<String> = Vec::new();

    let size = i32::try_from(PAGE)?;
    let mut pages = ec2.describe_images().owners("self").max_results(size).into_paginator().send();
    while let Some(page) = pages.next().await {
        seen.page(page.context("images")?.images().len());
    }
    let mut pages = ec2.describe_instances().include_managed_resources(true).max_results(size).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.context("instances")?;
        let mut count = 0;
        for instance in page.reservations().iter().flat_map(|reservation| reservation.instances()) {
            count += 1;
            let running = instance.state().and_then(|state| state.name()) == Some(&InstanceStateName::Running);
            let launched = instance.launch_time().context("a launch time")?;
            if running && launched.secs() <= from.timestamp() {
                ids.push(instance.instance_id().context("an id")?.to_owned());
            }
        }
        seen.page(count);
    }
    seen.add(
        metrics(config, &ids, &[("CPUUtilization", "Average"), ("NetworkIn", "Sum"), ("NetworkOut", "Sum")], 86_400)
            .await?,
    );
    ids.retain(|id| u64::from_str_radix(&id[3..], 16).is_ok_and(idle));
    let hourly = [
        ("CPUUtilization", "Maximum"),
        ("CPUUtilization", "SampleCount"),
        ("EBSReadOps", "Sum"),
        ("EBSWriteOps", "Sum"),
    ];
    seen.add(metrics(config, &ids, &hourly, 3_600).await?);

    let mut pages = ec2.describe_volumes().include_managed_resources(true).max_results(size).into_paginator().send();
    while let Some(page) = pages.next().await {
        seen.page(page.context("volumes")?.volumes().len());
    }
    let mut pages = ec2.describe_snapshots().owner_ids("self").max_results(size).into_paginator().send();
    while let Some(page) = pages.next().await {
        seen.page(page.context("snapshots")?.snapshots().len());
    }
    seen.page(ec2.describe_addresses().send().await.context("addresses")?.addresses().len());
    Ok(seen)
}

async fn metrics(config: &SdkConfig, ids: &[String], wanted: &[(&str, &str)], period: i32) -> anyhow::Result<Seen> {
    let client = aws_sdk_cloudwatch::Client::new(config);
    let to = now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let from = to - TimeDelta::days(7);
    let total = ids.len() * wanted.len();
    let call = |start: usize| {
        let client = client.clone();
        let queries: Vec<MetricDataQuery> = (start..total.min(start + QUERIES))
            .map(|index| {
                let (metric, statistic) = wanted[index % wanted.len()];
                query(index - start, &ids[index / wanted.len()], metric, statistic, period)
            })
            .collect();
        async move {
            let request = client.get_metric_data().set_metric_data_queries(Some(queries));
            let request =
                request.start_time(DateTime::from_secs(from.timestamp())).end_time(DateTime::from_secs(to.timestamp()));
            let answer = request.send().await.context("metrics")?;
            let points = answer.metric_data_results().iter().map(|result| result.values().len()).sum();
            anyhow::Ok(Seen { metric_calls: 1, points, ..Seen::default() })
        }
    };
    stream::iter((0..total).step_by(QUERIES))
        .map(call)
        .buffer_unordered(4)
        .try_fold(Seen::default(), |mut sum, seen| async move {
            sum.add(seen);
            Ok(sum)
        })
        .await
}

fn query(index: usize, id: &str, metric: &str, statistic: &str, period: i32) -> MetricDataQuery {
    let dimension = Dimension::builder().name("InstanceId").value(id).build();
    let metric = Metric::builder().namespace("AWS/EC2").metric_name(metric).dimensions(dimension).build();
    let stat = MetricStat::builder().metric(metric).period(period).stat(statistic).build();
    MetricDataQuery::builder().id(format!("m{index}")).metric_stat(stat).return_data(true).build()
}

impl Seen {
    fn page(&mut self, resources: usize) {
        self.pages += 1;
        self.resources += resources;
    }

    fn add(&mut self, other: Seen) {
        self.pages += other.pages;
        self.resources += other.resources;
        self.metric_calls += other.metric_calls;
        self.points += other.points;
    }
}
