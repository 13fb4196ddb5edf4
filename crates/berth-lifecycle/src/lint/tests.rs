//! Each kind of finding, and policies that have none.

use berth_types::{Digest, Tag, TagMutability};

use super::*;
use crate::compile::{Retention, as_written, compile, mission_default};
use crate::evaluate::{DAY_MILLIS, ImageKind};

const NOW: Timestamp = Timestamp::from_millis(1_000 * DAY_MILLIS);

fn image(tags: &[&str], age: i64) -> Image {
    Image {
        tags: tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
        ..Image::new(
            Digest::sha256(format!("{tags:?} {age}").as_bytes()),
            Timestamp::from_millis(NOW.millis() - age * DAY_MILLIS),
        )
    }
}

fn ids(findings: &[Finding]) -> Vec<(Option<u32>, &str)> {
    findings.iter().map(|finding| (finding.rule, finding.lint.id())).collect()
}

/// A policy text from lines of `tagStatus and lists | countType | number | action`.
fn text(rules: &[(u32, &str, &str, u32)]) -> String {
    let rules: Vec<String> = rules
        .iter()
        .map(|(priority, tags, count, number)| {
            let unit = if *count == "imageCountMoreThan" { "" } else { r#""countUnit": "days", "# };
            format!(
                r#"{{"rulePriority": {priority}, "selection": {{{tags}, "countType": "{count}", {unit}"countNumber": {number}}}, "action": {{"type": "expire"}}}}"#
            )
        })
        .collect();
    format!(r#"{{"rules": [{}]}}"#, rules.join(",\n"))
}

const ANY: &str = r#""tagStatus": "any""#;
const UNTAGGED: &str = r#""tagStatus": "untagged""#;
const COUNT: &str = "imageCountMoreThan";
const PUSHED: &str = "sinceImagePushed";

fn patterns(list: &str) -> String {
    format!(r#""tagStatus": "tagged", "tagPatternList": {list}"#)
}

#[test]
fn the_default_retentions_as_written_have_the_and_trap_twice() {
    let policy = as_written(&mission_default()).unwrap().policy;
    let findings = lint(&policy, &Context::default());
    let traps: Vec<&Finding> = findings.iter().filter(|finding| finding.lint == Lint::AndList).collect();
    assert_eq!(traps.iter().map(|finding| finding.rule).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(traps.iter().all(|finding| finding.severity == Severity::Error));
    insta::assert_snapshot!(traps[0].explanation, @r#"ECR joins the entries of a list by "and": the rule is about images that carry tags for all of "v", "sha-" at once"#);
    insta::assert_snapshot!(traps[0].fix, @r#"write one rule for each entry, with the same count: "tagPrefixList": ["v"], "tagPrefixList": ["sha-"]; a berth.toml retention with any_of does that, overlaps included"#);
}

#[test]
fn what_compile_makes_has_no_trap() {
    for retentions in [
        mission_default(),
        vec![
            Retention { any_of: vec!["v1*".into()], keep_last: Some(5), ..Retention::default() },
            Retention { any_of: vec!["v*".into(), "x*".into()], keep_last: Some(9), ..Retention::default() },
            Retention { any_of: vec!["dev*".into()], expire_after_days: Some(9), ..Retention::default() },
        ],
    ] {
        let policy = compile(&retentions).unwrap().policy;
        let findings = lint(&policy, &Context::default());
        assert!(findings.iter().all(|finding| finding.lint == Lint::Unreached), "{:?}", ids(&findings));
    }
}

#[test]
fn an_any_rule_after_an_and_list_names_what_it_would_delete() {
    let list = r#""tagStatus": "tagged", "tagPrefixList": ["v", "release", "prod"]"#;
    let text = text(&[(2, ANY, PUSHED, 90), (1, list, COUNT, 9999)]);
    let images =
        [image(&["v1.4.0", "prod"], 400), image(&["release-7"], 100), image(&["v2"], 5), image(&["x"], 400)];
    let context = Context { images: Some((&images, NOW)), ..Context::default() };
    let findings = lint_text(&text, &context).unwrap();
    assert_eq!(ids(&findings), [(Some(1), "and-list"), (Some(2), "any-eats")]);
    // The pointers are those of the text, where the any rule stands first.
    assert_eq!(findings[0].pointer, "/rules/1/selection/tagPrefixList");
    assert_eq!(&text[findings[0].span.clone().unwrap()], r#"["v", "release", "prod"]"#);
    assert_eq!(findings[0].images, [0, 1, 2]);
    assert_eq!(findings[1].images, [0, 1]);
    assert!(findings[1].explanation.contains("v1.4.0+prod, release-7"), "{}", findings[1].explanation);
}

/// Rules by priority from 1: tags, count type, number.
type Rules<'a> = &'a [(&'a str, &'a str, u32)];

#[track_caller]
fn assert_found(context: &Context<'_>, rules: Rules<'_>, expected: &[(Option<u32>, &str)]) {
    let rules: Vec<_> = rules
        .iter()
        .zip(1..)
        .map(|((tags, count, number), priority)| (priority, *tags, *count, *number))
        .collect();
    let findings = lint_text(&text(&rules), context).unwrap();
    assert_eq!(ids(&findings), expected, "{rules:?}");
    assert!(findings.iter().all(|finding| finding.span.is_some() && !finding.fix.is_empty()));
}

#[test]
fn each_kind_is_found_where_it_is() {
    let context = Context::default();
    let rest = (ANY, PUSHED, 9);
    let (versions, all) = (patterns(r#"["v*"]"#), patterns(r#"["*"]"#));
    let prefix = r#""tagStatus": "tagged", "tagPrefixList": ["v*"]"#;
    for hopeless in [prefix, &patterns(r#"["a b"]"#), &patterns(r#"["-*"]"#)] {
        assert_found(&context, &[(hopeless, PUSHED, 9), rest], &[(Some(1), "never-matches")]);
    }
    let narrower = patterns(r#"["v1*"]"#);
    assert_found(&context, &[(&versions, PUSHED, 9), (&narrower, PUSHED, 9), rest], &[(Some(2), "shielded")]);
    assert_found(&context, &[(UNTAGGED, PUSHED, 9), (&all, PUSHED, 9), rest], &[(Some(3), "shielded")]);
    for only in [&versions, &all, UNTAGGED] {
        assert_found(&context, &[(only, PUSHED, 9)], &[(None, "unreached")]);
    }
    assert_found(&context, &[(&versions, COUNT, 20), (ANY, COUNT, 20)], &[(Some(2), "any-crowded")]);
    assert_found(&context, &[(&versions, COUNT, 20), (ANY, COUNT, 21)], &[]);
    assert_found(&context, &[(ANY, COUNT, 2)], &[(Some(1), "keeps-too-few")]);
    assert_found(&context, &[(UNTAGGED, COUNT, 2), rest], &[(Some(1), "index-children")]);
    let (implied, both) = (patterns(r#"["v*", "v1*"]"#), patterns(r#"["a*", "b*"]"#));
    assert_found(&context, &[(&implied, PUSHED, 9), rest], &[]);
    let expected = [(Some(1), "and-list"), (None, "unreached")];
    assert_found(&context, &[(&both, PUSHED, 9), (UNTAGGED, PUSHED, 9)], &expected);
}

#[test]
fn a_moving_tag_is_found_where_tags_do_not_move() {
    let (latest, versions) = (patterns(r#"["latest"]"#), patterns(r#"["v*"]"#));
    let rest = (ANY, PUSHED, 9);
    let (immutable, mutable) = (TagMutability::immutable(), TagMutability::mutable());
    let context = Context { mutability: Some(&immutable), ..Context::default() };
    assert_found(&context, &[(&latest, COUNT, 5), rest], &[(Some(1), "immutable-moving-tag")]);
    assert_found(&context, &[(&versions, COUNT, 5), rest], &[]);
    let context = Context { mutability: Some(&mutable), ..Context::default() };
    assert_found(&context, &[(&latest, COUNT, 5), rest], &[]);
}

#[test]
fn children_of_an_index_are_counted() {
    let child = image(&[], 30);
    let index = Image { kind: ImageKind::Index, references: vec![child.digest], ..image(&["v1"], 30) };
    let images = [child, index];
    let context = Context { images: Some((&images, NOW)), ..Context::default() };
    let text = text(&[(1, UNTAGGED, PUSHED, 7), (2, ANY, PUSHED, 90)]);
    let findings = lint_text(&text, &context).unwrap();
    assert_eq!(ids(&findings), [(Some(1), "index-children")]);
    assert_eq!((findings[0].severity, &findings[0].images[..]), (Severity::Note, &[0][..]));
}

#[test]
fn identifiers_are_unique() {
    let mut ids: Vec<&str> = Lint::ALL.iter().map(|lint| lint.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Lint::ALL.len());
}
