//! Answers as JUnit XML: one case a violation, failed where it denies or waits, and one case that passed without any.

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Answers;
use super::document::lines;
use crate::domain::text::clean;
use crate::policy::decide::Answer;

/// The report.
///
/// # Errors
/// XML that cannot be written.
pub fn render(answers: &Answers) -> Result<String> {
    let mut suite = TestSuite::new("costwarden evaluate");
    for line in lines(answers) {
        let status = if line.effect >= Answer::RequireApproval {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_type(line.effect.word()).set_message(clean(line.message));
            failed
        } else {
            TestCaseStatus::success()
        };
        let mut case = TestCase::new(format!("{} on {}", clean(line.rule), clean(line.resource)), status);
        case.set_classname(clean(line.policy));
        if line.effect < Answer::RequireApproval {
            case.set_system_out(format!("warning: {}", clean(line.message)));
        }
        suite.add_test_case(case);
    }
    if suite.test_cases.is_empty() {
        suite.add_test_case(TestCase::new("nothing stands against it", TestCaseStatus::success()));
    }
    let mut report = Report::new("costwarden");
    report.add_test_suite(suite);
    report.to_string().context("writing JUnit XML")
}
