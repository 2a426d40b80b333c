//! What moto does not know: the Recycle Bin, snapshot locks, and answers that are not whole.
//!
//! The answers are written from the EC2 service model (API version 2016-11-15), each for one operation.

use costwarden::cloud::{Call, CloudAct, CloudRead, ErrorKind};
use costwarden::domain::Instant;
use costwarden::domain::fact::Fact;
use costwarden::domain::place::{Kind, SnapshotId};
use costwarden::domain::resource::{Detail, Resource};

use super::answers::{actor_of, answer, reader_of_each};

const SNAPSHOT: &str = "snap-0a1b2c3d4e5f60001";

fn body(operation: &str, inside: &str) -> (&'static str, String) {
    let operation: &'static str = operation.to_owned().leak();
    let xml = format!(
        "<{operation}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
         {inside}</{operation}Response>"
    );
    (operation, xml)
}

fn binned(inside: &str) -> (&'static str, String) {
    body("ListSnapshotsInRecycleBin", &format!("<snapshotSet>{inside}</snapshotSet>"))
}

async fn recycled(answer: (&'static str, String)) -> Result<Option<Instant>, costwarden::cloud::CloudError> {
    let (reader, partition) = reader_of_each(vec![answer]).await;
    reader.recycled(&partition(Kind::Snapshot).key(SNAPSHOT)).await
}

#[tokio::test]
async fn the_recycle_bin_says_until_when_it_keeps_a_snapshot() {
    let item = |id: &str, times: &str| format!("<item><snapshotId>{id}</snapshotId>{times}</item>");
    let times = "<recycleBinEnterTime>2026-11-23T10:00:00.000Z</recycleBinEnterTime>\
                 <recycleBinExitTime>2026-12-23T10:00:00.000Z</recycleBinExitTime>";
    let until: Instant = "2026-12-23T10:00:00Z".parse().unwrap();
    assert_eq!(recycled(binned(&item(SNAPSHOT, times))).await.unwrap(), Some(until));
    assert_eq!(recycled(binned("")).await.unwrap(), None);
    assert_eq!(
        recycled(binned(&item("snap-0another", times))).await.unwrap(),
        None,
        "another one's place is not its own"
    );
    // What is not whole is no answer.
    for cut in [
        binned(&item(SNAPSHOT, "")),
        body("ListSnapshotsInRecycleBin", ""),
        body("ListSnapshotsInRecycleBin", "<snapshotSet/><nextToken>more</nextToken>"),
    ] {
        assert_eq!(recycled(cut.clone()).await.unwrap_err().kind, ErrorKind::Uncertain, "{cut:?}");
    }
}

/// The particulars of the first snapshot of the answer file.
async fn particulars(answers: Vec<(&'static str, String)>) -> (Fact<String>, Fact<bool>) {
    let mut all = vec![("DescribeSnapshots", answer(Kind::Snapshot))];
    all.extend(answers);
    let (reader, partition) = reader_of_each(all).await;
    let page = reader.list(&partition(Kind::Snapshot), None).await.expect("a page");
    let mut one: Resource = page.resources.into_iter().next().expect("a snapshot");
    one.key = partition(Kind::Snapshot).key(SNAPSHOT);
    reader.particulars(&mut one).await;
    match one.detail {
        Detail::Snapshot(own) => (own.image.map(|image| image.to_string()), own.locked),
        _ => panic!("a snapshot"),
    }
}

#[tokio::test]
async fn h22_a_lock_holds_unless_it_expired_and_so_does_a_state_that_is_not_known() {
    let none = body("DescribeImages", "<imagesSet/>");
    let lock = |id: &str, state: &str| {
        let item = format!("<item><snapshotId>{id}</snapshotId>{state}</item>");
        body("DescribeLockedSnapshots", &format!("<snapshotSet>{item}</snapshotSet>"))
    };
    for (state, locked) in [
        ("<lockState>governance</lockState>", true),
        ("<lockState>compliance</lockState>", true),
        ("<lockState>compliance-cooloff</lockState>", true),
        ("<lockState>a-new-word</lockState>", true),
        ("", true),
        ("<lockState>expired</lockState>", false),
    ] {
        let (image, found) = particulars(vec![none.clone(), lock(SNAPSHOT, state)]).await;
        assert_eq!((image, found), (Fact::Absent, Fact::Known(locked)), "{state}");
    }
    let (_, found) = particulars(vec![none.clone(), lock("snap-0another", "<lockState>governance</lockState>")]).await;
    assert_eq!(found, Fact::Known(false));
    let (_, found) = particulars(vec![none.clone(), body("DescribeLockedSnapshots", "<snapshotSet/>")]).await;
    assert_eq!(found, Fact::Known(false));
    for cut in [
        body("DescribeLockedSnapshots", ""),
        body("DescribeLockedSnapshots", "<snapshotSet/><nextToken>more</nextToken>"),
    ] {
        let (_, found) = particulars(vec![none.clone(), cut]).await;
        assert!(found.is_unknown(), "{found:?}");
    }
}

#[tokio::test]
async fn h01_an_answer_about_images_that_is_not_whole_says_nothing() {
    let free = body("DescribeLockedSnapshots", "<snapshotSet/>");
    let image = |of: &str| {
        format!(
            "<imagesSet><item><imageId>ami-0a1b</imageId><imageState>disabled</imageState><blockDeviceMapping><item>\
             <deviceName>/dev/xvda</deviceName><ebs><snapshotId>{of}</snapshotId></ebs></item></blockDeviceMapping>\
             </item></imagesSet>"
        )
    };
    let (found, _) = particulars(vec![body("DescribeImages", &image(SNAPSHOT)), free.clone()]).await;
    assert_eq!(found, Fact::Known("ami-0a1b".into()));
    let (found, _) = particulars(vec![body("DescribeImages", &image("snap-0another")), free.clone()]).await;
    assert_eq!(found, Fact::Absent);
    for cut in ["", "<imagesSet/><nextToken>more</nextToken>", "<imagesSet><item/></imagesSet>"] {
        let (found, _) = particulars(vec![body("DescribeImages", cut), free.clone()]).await;
        assert!(found.is_unknown(), "{cut}: {found:?}");
    }
}

/// The particulars of the first image of the answer file: what refers to it, and whether it is shared.
async fn of_an_image(answers: Vec<(&'static str, String)>) -> (Fact<String>, Fact<bool>) {
    let mut all = vec![("DescribeImages", answer(Kind::Image))];
    all.extend(answers);
    let (reader, partition) = reader_of_each(all).await;
    let page = reader.list(&partition(Kind::Image), None).await.expect("a page");
    let mut one: Resource = page.resources.into_iter().next().expect("an image");
    let told = one.image().expect("an image");
    assert_eq!((&told.launched, &told.protected), (&Fact::Absent, &Fact::Known(false)), "the listing tells these");
    assert!(told.user.is_unknown() && told.shared.is_unknown(), "and leaves these open");
    reader.particulars(&mut one).await;
    match one.detail {
        Detail::Image(own) => (own.user.map(|user| user.to_string()), own.shared),
        _ => panic!("an image"),
    }
}

#[tokio::test]
async fn h01_what_refers_to_an_image_and_who_may_launch_from_it_is_asked_and_never_taken_for_nothing() {
    let image = "ami-0a1b2c3d4e5f60040";
    let referred = |inside: &str| body("DescribeImageReferences", inside);
    let shared = |inside: &str| body("DescribeImageAttribute", &format!("<imageId>{image}</imageId>{inside}"));
    let nobody = shared("<launchPermission/>");
    let arn = "arn:aws:ec2:eu-central-1:111122223333:launch-template/lt-0a1b";
    let item = format!(
        "<item><imageId>{image}</imageId><resourceType>ec2:LaunchTemplate</resourceType><arn>{arn}</arn></item>"
    );
    let (user, open) = of_an_image(vec![referred("<imageReferenceSet/>"), nobody.clone()]).await;
    assert_eq!((user, open), (Fact::Absent, Fact::Known(false)));
    let (user, _) =
        of_an_image(vec![referred(&format!("<imageReferenceSet>{item}</imageReferenceSet>")), nobody.clone()]).await;
    assert_eq!(user, Fact::Known(arn.into()));
    for cut in ["", "<imageReferenceSet/><nextToken>more</nextToken>"] {
        let (user, _) = of_an_image(vec![referred(cut), nobody.clone()]).await;
        assert!(user.is_unknown(), "{cut}: {user:?}");
    }
    for (inside, wanted) in [
        ("<launchPermission><item><group>all</group></item></launchPermission>", Some(true)),
        ("<launchPermission><item><userId>444455556666</userId></item></launchPermission>", Some(true)),
        ("", None),
    ] {
        let (_, open) = of_an_image(vec![referred("<imageReferenceSet/>"), shared(inside)]).await;
        assert_eq!(open.known().copied(), wanted, "{inside}: {open:?}");
    }
    let other = body("DescribeImageAttribute", "<imageId>ami-0another</imageId><launchPermission/>");
    let (_, open) = of_an_image(vec![referred("<imageReferenceSet/>"), other]).await;
    assert!(open.is_unknown(), "another image's answer is none: {open:?}");
}

#[tokio::test]
async fn a_snapshot_comes_out_of_the_recycle_bin_by_a_call_that_must_name_it() {
    let call = Call::RestoreSnapshot { snapshot: SnapshotId::new(SNAPSHOT).unwrap() };
    for (inside, fine) in [
        (format!("<snapshotId>{SNAPSHOT}</snapshotId><status>completed</status>"), true),
        ("<snapshotId>snap-0another</snapshotId>".to_owned(), false),
        (String::new(), false),
    ] {
        let (actor, place) = actor_of(vec![body("RestoreSnapshotFromRecycleBin", &inside)]).await;
        match actor.execute(&place, &call).await {
            Ok(answer) => assert!(fine, "{inside}: {answer:?}"),
            Err(error) => assert!(!fine && error.kind == ErrorKind::Uncertain, "{inside}: {error}"),
        }
    }
}
