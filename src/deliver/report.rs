//! The mail around a report: subject with the status, text, HTML, and the PDF.
//!
//! One message for each recipient, so that nobody sees who else gets it. The same report to the same recipient is the
//! same message, however often it is sent.

use super::{Attachment, Message, MessageKind};

/// A laid-out report, as `report` makes it.
#[derive(Clone, Debug)]
pub struct ReportMail<'a> {
    /// `daily` or `weekly`.
    pub kind: &'a str,
    /// The period's short name, for example `2026-W47`.
    pub period: &'a str,
    /// The subject line.
    pub subject: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// HTML.
    pub html: &'a str,
    /// File name and bytes of the PDF, where the program was built with it.
    pub pdf: Option<(&'a str, &'a [u8])>,
}

impl ReportMail<'_> {
    /// The message for one recipient.
    pub fn to(&self, to: &str) -> Message {
        let attachments = self.pdf.map(|(name, bytes)| Attachment {
            name: name.to_owned(),
            media_type: "application/pdf".to_owned(),
            bytes: bytes.to_vec(),
        });
        Message {
            dedup: format!("report:{}:{}:{to}", self.kind, self.period),
            kind: MessageKind::Report,
            to: to.to_owned(),
            subject: self.subject.to_owned(),
            text: self.text.to_owned(),
            html: Some(self.html.to_owned()),
            attachments: attachments.into_iter().collect(),
        }
    }
}
