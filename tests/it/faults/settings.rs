//! Settings and policy files that are cut, misspelt, doubled, of the wrong type, empty, huge or unreadable, given to the
//! real program: one error with its place, exit code 2, and nothing else is touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::reached;
use crate::cli::Desk;

const SETTINGS: &str = "costwarden.toml";
const POLICY: &str = "policies/unattached-volumes.yaml";

/// What the files are by then, and a command that reads them: refused with one error that names the file.
fn refused(desk: &Desk, file: &str, what: &str) {
    let before = desk.files();
    let args: &[&str] = if file == SETTINGS { &["findings", "list"] } else { &["policy", "validate"] };
    let ended = desk.call(args);
    let said = ended.one_error(2);
    assert!(said.contains(file), "{what}: {said}");
    assert_eq!(desk.files(), before, "{what}: it wrote something");
}

/// Each of these in the place of a file is refused; how many they were.
fn each(file: &str, texts: &[Vec<u8>]) -> usize {
    let desk = Desk::set_up();
    for text in texts {
        desk.write(file, text);
        refused(&desk, file, &String::from_utf8_lossy(&text[..text.len().min(200)]));
    }
    texts.len()
}

#[test]
fn h11_settings_that_are_cut_anywhere_in_a_line_never_load() {
    let good = Desk::set_up().read(SETTINGS);
    // Every byte is cut at by a test of the loader alone; here the real program meets some, from the first on.
    let step = good.len() / 40;
    let cuts = (1..good.len()).step_by(step.max(1)).map(|cut| good.floor_char_boundary(cut));
    let texts: Vec<Vec<u8>> =
        cuts.map(|cut| good.as_bytes()[..cut].to_vec()).filter(|text| text.last() != Some(&b'\n')).collect();
    reached("cut at any byte", each(SETTINGS, &texts));
}

#[test]
fn h11_a_key_that_is_unknown_doubled_or_of_another_type_is_refused_with_its_line() {
    let desk = Desk::set_up();
    let (settings, policy) = (desk.read(SETTINGS), desk.read(POLICY));
    let swapped = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let mode = "mode = \"observe\"";
    let unknown = [
        swapped(&settings, mode, "mood = \"observe\""),
        swapped(&settings, mode, "mode = \"observe\"\nallow_everything = true"),
        [settings.as_bytes(), b"\n[enforcment]\nmode = \"observe\"\n"].concat(),
    ];
    let of_policies = [swapped(&policy, "severity:", "sevrity:"), swapped(&policy, "action:", "actoin:")];
    reached("unknown key", each(SETTINGS, &unknown) + each(POLICY, &of_policies));
    let doubled = [
        swapped(&settings, mode, "mode = \"observe\"\nmode = \"enforce\""),
        swapped(&settings, mode, "mode = \"observe\"\n\"mode\" = \"observe\""),
        [settings.as_bytes(), b"\n[enforcement]\nmode = \"enforce\"\n"].concat(),
    ];
    let of_policies = [swapped(&policy, "severity: medium", "severity: medium\n      severity: critical")];
    reached("doubled key", each(SETTINGS, &doubled) + each(POLICY, &of_policies));
    let types = [
        swapped(&settings, mode, "mode = 3"),
        swapped(&settings, mode, "mode = [\"observe\"]"),
        swapped(&settings, mode, "mode = { is = \"observe\" }"),
        swapped(&settings, mode, "mode = true"),
    ];
    let of_policies = [swapped(&policy, "severity: medium", "severity: [medium]")];
    reached("wrong type", each(SETTINGS, &types) + each(POLICY, &of_policies));
}

#[test]
fn h11_a_file_that_is_empty_huge_or_no_readable_text_is_no_settings() {
    let good = Desk::set_up().read(SETTINGS).into_bytes();
    let empty: [Vec<u8>; 3] = [Vec::new(), b"\n\n".to_vec(), b"# nothing\n".to_vec()];
    reached("empty", each(SETTINGS, &empty) + each(POLICY, &empty));
    let pad = |size: usize| [good.as_slice(), "# more\n".repeat(size / 7).as_bytes()].concat();
    let huge = [pad(2 << 20), pad(8 << 20), vec![b'#'; 64 << 20]];
    reached("huge", each(SETTINGS, &huge));

    let mut met = 0;
    for number in 0..5 {
        let desk = Desk::set_up();
        let path = desk.path().join(SETTINGS);
        fs::remove_file(&path).expect("init wrote it");
        let mut kept = None;
        match number {
            0 => fs::create_dir(&path).expect("a folder"),
            1 => symlink("nowhere", &path).expect("a link"),
            2 => symlink(SETTINGS, &path).expect("a link to itself"),
            3 => kept = Some(UnixListener::bind(&path).expect("a socket")),
            _ => desk.write(SETTINGS, [&good[..100], b"\xff\xfe\n"].concat()),
        }
        let ended = desk.call(&["findings", "list"]);
        assert!(ended.one_error(2).contains(SETTINGS), "{ended:?}");
        assert!(!desk.path().join("costwarden-state").exists(), "nothing was made");
        met += 1;
        drop(kept);
    }
    reached("unreadable", met);
}
