// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::check::SparseFacts;
use crate::check::tests::{fix, second_of_three};
use crate::render::Look;

const LOOK: Look = Look { width: 80, colour: false };

fn repeat() -> Vec<String> {
    ["swapstorm", "check", "./v3.mbx", "--seed", "7"].map(str::to_owned).into()
}

#[test]
fn the_patch_is_named_with_its_subject_and_the_evidence() {
    let text = text(&second_of_three(), LOOK);
    for words in [
        "Bad: the-series on debian-6.1",
        "* patch 2/3 brought a bug",
        "brought by the series: kernel BUG in ext4_writepages",
        "patch 2/3: mm: c2",
        "The base showed it in 0 of ",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(!text.contains("fixed"), "{text}");
    let fixed = super::text(&fix(), LOOK);
    let fixed: Vec<&str> = fixed.split_whitespace().collect();
    let fixed = fixed.join(" ");
    for words in [
        "Good: the-series fixes",
        "(a rate of 15.8 to 100.0 % with 95 %)",
        "for 95 % nothing more",
        "for 99.99 % ",
    ] {
        assert!(fixed.contains(words), "{words}\n{fixed}");
    }
}

#[test]
fn a_tag_stands_under_a_proven_fix_and_nowhere_else() {
    let tester = Some("A Tester <a@example.org>");
    let good = mail(&fix(), &repeat(), tester);
    assert!(good.ends_with("\nTested-by: A Tester <a@example.org>\n"), "{good}");
    assert!(!mail(&fix(), &repeat(), None).contains("\nTested-by:"));
    let bad = mail(&second_of_three(), &repeat(), tester);
    assert!(
        !bad.contains("\nTested-by:")
            && bad.contains("\nNo Tested-by:\n  | patch 2/3 brought a bug\n"),
        "{bad}"
    );
}

#[test]
fn no_word_of_others_begins_a_line_and_none_is_wider_than_a_mail() {
    let mut check = second_of_three();
    check.facts.subjects =
        vec!["Acked-by: Nobody <n@example.org>\nTested-by: x \u{1b}[31m".to_owned(); 3];
    check.bugs[0].title = format!("-- \n> From Nobody {}", "x".repeat(500));
    check.warnings = Some(vec!["Reviewed-by: Nobody <n@example.org>".to_owned(); 50]);
    let new = vec!["Reviewed-by: Nobody <n@example.org>".to_owned(); 21];
    check.facts.sparse = Some(SparseFacts { new, more: 3, ..SparseFacts::default() });
    check.reasons = vec!["Signed-off-by: Nobody <n@example.org>".to_owned()];
    let mail = mail(&check, &repeat(), None);
    let body = mail.split_once('\n').unwrap().1;
    for tag in ["Acked-by:", "Tested-by: x", "Reviewed-by:", "Signed-off-by:", "-- ", "> From"] {
        let bare = body.lines().find(|line| line.trim_start().starts_with(tag));
        assert_eq!(bare, None, "{mail}");
    }
    assert!(mail.lines().all(|line| line.chars().count() <= 72), "{mail}");
    assert!(
        !mail.contains('\u{1b}') && mail.starts_with("Subject: Re: Acked-by: Nobody"),
        "{mail}"
    );
    assert!(mail.contains("  | [30 more lines]\n"), "{mail}");
    assert!(mail.contains("\nSparse has 24 new warnings in 0 C files that"), "{mail}");
}

#[test]
fn what_sparse_was_asked_is_said_and_a_log_without_it_is_read() {
    let mut check = second_of_three();
    assert!(!text(&check, LOOK).contains("parse"));
    let mut old = serde_json::to_value(&check.facts).unwrap();
    assert!(old.as_object_mut().unwrap().remove("sparse").is_none());
    let files = vec!["mm/zswap.c".to_owned()];
    let facts = SparseFacts { files, left_out: vec!["a.c".to_owned()], ..SparseFacts::default() };
    check.facts.sparse = Some(facts);
    let told = text(&check, LOOK);
    assert!(
        told.contains("Sparse has no new warning in 1 C file that the series touches. 1 more"),
        "{told}"
    );
    let again = serde_json::to_value(&check.facts).unwrap();
    assert_eq!(serde_json::from_value::<crate::check::CheckFacts>(again).unwrap(), check.facts);
}
