//! Taking a resize back: the same calls the other way, and a crash at every point of them.

use super::resize::{NEW, OLD, POINTS};
use super::*;

#[tokio::test]
async fn undo_of_a_resize_gives_the_old_type_back_by_the_same_steps() {
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Resize).await;
    assert_eq!(stage.type_of(INSTANCE), NEW);
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert_eq!((&*stage.truth(INSTANCE), &*stage.type_of(INSTANCE)), ("running", OLD));
    assert_eq!(stage.fields(outcome.id.unwrap()), Vec::<String>::new());
    let acts = stage.effective_acts();
    assert_eq!(acts[3..], ["StopInstances", "ModifyInstanceAttribute", "StartInstances"]);
    // Somebody chose another type meanwhile: nothing is touched.
    let stage = Stage::new();
    let act = stage.acted(INSTANCE, Action::Resize).await;
    stage.cloud.apply("ann", Change::Stop(INSTANCE.into())).unwrap();
    stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(5));
    stage
        .cloud
        .apply("ann", Change::SetType { instance: INSTANCE.into(), instance_type: "m5.2xlarge".into() })
        .unwrap();
    let outcome = stage.undo(act).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused));
    assert!(outcome.message.contains("its type is m5.2xlarge by now"), "{}", outcome.message);
}

#[tokio::test]
async fn undo_of_a_resize_survives_a_crash_at_every_point_and_is_never_silently_stopped() {
    let points = POINTS[..31].iter().map(|point| point.replacen('J', "U", 1));
    for point in points {
        let stage = Stage::new();
        let act = stage.acted(INSTANCE, Action::Resize).await;
        assert!(stage.undo_dies(act, &point, "run-1").await, "{point} was not reached");
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-2"));
        let mut outcomes = remediator.resume_undos(&run).await.unwrap();
        if let Some(mut outcome) = outcomes.pop() {
            while let Progress::WaitUntil(until) = outcome.progress {
                stage.clock.advance_to(until);
                outcome = remediator.advance_undo(outcome.id.unwrap(), false, &run).await.unwrap();
            }
        }
        let undo = stage.store.undos_of(act).unwrap().pop().unwrap();
        let stays = matches!(&*point, "U8[stop].after" | "U8[change_type].after" | "U8[start].after");
        let end = match &*point {
            "U8[stop].after" => JournalState::Stuck,
            "U8[change_type].after" | "U8[start].after" => JournalState::Refused,
            _ => JournalState::Done,
        };
        assert_eq!((undo.state, &*stage.type_of(INSTANCE)), (end, if stays { NEW } else { OLD }), "{point}");
        stage.clock.advance_to(stage.clock.now() + TimeDelta::minutes(10));
        assert_eq!(stage.truth(INSTANCE), "running", "{point}");
    }
}
