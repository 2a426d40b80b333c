//! Reads who typed this command: the kernel's files about this process and the system's list of users.
//!
//! Called by the commands with which people decide. It never fails: what cannot be read is not in the result. It leaves
//! out what a login proves; that is `domain::login`.

use crate::domain::login::Login;

/// The login of this process.
pub fn here() -> Login {
    login(&|path| std::fs::read_to_string(path).ok())
}

fn login(read: &dyn Fn(&str) -> Option<String>) -> Login {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    // The line begins with the real user, then come the effective, saved and file system's.
    let uid = read("/proc/self/status").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Uid:").map(str::to_owned))?;
        number(line.split_whitespace().next()?)
    });
    let found = Login { uid, audit_uid: read("/proc/self/loginuid").as_deref().and_then(number), name: None };
    let name = found.of_user().and_then(|uid| {
        let users = read("/etc/passwd")?;
        let own = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        own.filter(|fields| fields.get(2).and_then(|text| number(text)) == Some(uid))
            .find_map(|fields| fields.first().filter(|name| !name.is_empty()).map(|name| (*name).to_owned()))
    });
    Login { name, ..found }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcostwarden\nPid:\t7\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n";
    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/bash\n";

    fn at(status: Option<&str>, login_uid: Option<&str>, users: Option<&str>) -> Login {
        login(&|path| {
            let text = match path {
                "/proc/self/status" => status,
                "/proc/self/loginuid" => login_uid,
                "/etc/passwd" => users,
                other => panic!("{other} is none of our business"),
            };
            text.map(str::to_owned)
        })
    }

    #[test]
    fn who_logged_in_is_told_behind_sudo_and_what_cannot_be_read_is_left_out() {
        let ann = at(Some(STATUS), Some("1000"), Some(USERS));
        assert_eq!(ann, Login { uid: Some(0), audit_uid: Some(1000), name: Some("ann".into()) });
        assert_eq!(ann.to_string(), "ann (1000)");
        let nobody = at(Some(STATUS), Some("4294967295"), Some(USERS));
        assert_eq!((nobody.of_user(), nobody.to_string().as_str()), (Some(0), "root (0)"));
        let stranger = at(Some(STATUS), Some("1234567\n"), Some(USERS));
        assert_eq!((stranger.name.clone(), stranger.to_string().as_str()), (None, "user 1234567"));
        for (status, users) in [(None, None), (Some("Name:\tx\nUid:\tx\n"), Some("::::\nann\n"))] {
            assert_eq!(at(status, Some("x"), users), Login::default());
        }
        assert_eq!(Login::default().to_string(), "unknown");
    }

    #[test]
    fn this_very_process_has_a_user() {
        assert!(here().uid.is_some(), "{:?}", here());
    }
}
