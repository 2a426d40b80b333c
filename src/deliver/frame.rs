//! Attachments as one blob, for the outbox.
//!
//! Name, media type and bytes of each, every one behind its length. Written and read by this version only; a blob that
//! does not read back whole is an error, never a shorter list.

use anyhow::{Context, Result, ensure};

use super::Attachment;

/// Nothing for no attachments.
pub fn encode(attachments: &[Attachment]) -> Option<Vec<u8>> {
    if attachments.is_empty() {
        return None;
    }
    let mut blob = Vec::new();
    for attachment in attachments {
        for part in [attachment.name.as_bytes(), attachment.media_type.as_bytes(), &attachment.bytes] {
            blob.extend((part.len() as u64).to_le_bytes());
            blob.extend(part);
        }
    }
    Some(blob)
}

/// The attachments of a blob.
pub fn decode(blob: &[u8]) -> Result<Vec<Attachment>> {
    let mut rest = blob;
    let mut attachments = Vec::new();
    while !rest.is_empty() {
        let name = text(part(&mut rest)?)?;
        let media_type = text(part(&mut rest)?)?;
        attachments.push(Attachment { name, media_type, bytes: part(&mut rest)?.to_vec() });
    }
    Ok(attachments)
}

fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>().context("an attachment in the outbox is cut short")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).context("an attachment in the outbox is too long")?;
    ensure!(length <= after.len(), "an attachment in the outbox is cut short");
    let (part, after) = after.split_at(length);
    *rest = after;
    Ok(part)
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).context("an attachment's name in the outbox is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_read_back_and_a_cut_blob_is_an_error() {
        let attachments = vec![
            Attachment { name: "a.pdf".into(), media_type: "application/pdf".into(), bytes: vec![1, 2, 3] },
            Attachment { name: "b.csv".into(), media_type: "text/csv".into(), bytes: vec![] },
        ];
        let blob = encode(&attachments).unwrap();
        assert_eq!(decode(&blob).unwrap(), attachments);
        assert_eq!(encode(&[]), None);
        let whole: Vec<usize> = (0..=blob.len()).filter(|end| decode(&blob[..*end]).is_ok()).collect();
        let first = 8 * 3 + 5 + 15 + 3;
        assert_eq!(whole, [0, first, blob.len()], "only whole attachments are read");
    }
}
