//! The text form of a plan.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::client::Target;
use crate::plan::{
    Action, AttributeChange, LifecycleChange, Plan, ResourceChange, ResourceKind, RuleChange, RuleChangeKind,
    describe_intent, describe_rule,
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The plan for people: every resource that changes, attribute by attribute, then the warnings, then one line that sums it up.
#[must_use]
pub fn to_text(plan: &Plan, target: &Target) -> String {
    let mut text = Text::default();
    text.line(format_args!("{BOLD}{} ({}){BOLD:#} at {target}", plan.project, plan.environment));
    let mut shown: Vec<&ResourceChange> = Vec::new();
    for resource in plan.resources.iter().filter(|resource| resource.action != Action::NoOp) {
        text.resource(resource, &shown);
        shown.push(resource);
    }
    text.blank();
    for warning in &plan.warnings {
        text.line(format_args!("{YELLOW}warning:{YELLOW:#} {warning}"));
    }
    if !plan.warnings.is_empty() {
        text.blank();
    }
    text.line(format_args!("{BOLD}{}{BOLD:#}", summary(plan)));
    text.0
}

/// One line: how many resources are created, adopted and so on.
#[must_use]
pub fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return "No changes. The repositories are as the stack file wants them.".to_owned();
    }
    let mut parts: Vec<String> = Action::ALL
        .into_iter()
        .filter(|action| *action != Action::NoOp && plan.count(*action) > 0)
        .map(|action| format!("{} to {action}", plan.count(action)))
        .collect();
    if plan.count(Action::NoOp) > 0 {
        parts.push(format!("{} unchanged", plan.count(Action::NoOp)));
    }
    let refused = plan.refused().count();
    if refused > 0 {
        parts.push(format!("{refused} refused"));
    }
    format!("Plan: {}.", parts.join(", "))
}

const fn style(action: Action) -> Style {
    match action {
        Action::Create => GREEN,
        Action::Update => YELLOW,
        Action::Replace | Action::Delete => RED,
        Action::Adopt => CYAN,
        Action::NoOp => DIM,
    }
}

const fn symbol(action: Action) -> &'static str {
    match action {
        Action::Create => "+",
        Action::Update => "~",
        Action::Replace => "-/+",
        Action::Adopt => "<-",
        Action::Delete => "-",
        Action::NoOp => " ",
    }
}

const fn title(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Repository => "repository",
        ResourceKind::LifecyclePolicy => "lifecycle policy of",
        ResourceKind::RepositoryPolicy => "repository policy of",
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// Adds a line. Writing to a String cannot fail.
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn resource(&mut self, resource: &ResourceChange, shown: &[&ResourceChange]) {
        let ResourceChange { kind, repository, action, note, .. } = resource;
        let style = style(*action);
        self.blank();
        let note = note.as_ref().map(|note| format!(" {DIM}({note}){DIM:#}")).unwrap_or_default();
        self.line(format_args!(
            "{style}{:>3} {action}{style:#} {} {BOLD}{repository}{BOLD:#}{note}",
            symbol(*action),
            title(*kind)
        ));
        if let Some(refusal) = &resource.refusal {
            self.line(format_args!("      {RED}refused:{RED:#} {refusal}"));
            self.line(format_args!("      {CYAN}hint:{CYAN:#} {}", refusal.hint()));
        }
        self.attributes(&resource.attributes, *action == Action::Create, 6);
        let Some(lifecycle) = &resource.lifecycle else { return };
        let is_twin =
            |other: &&&ResourceChange| other.action == *action && other.lifecycle.as_ref() == Some(lifecycle);
        match shown.iter().find(is_twin) {
            Some(twin) => {
                let rules = lifecycle.all_rules().count();
                self.line(format_args!("      {rules} rules, the same as of {}", twin.repository));
            }
            None => self.lifecycle(lifecycle),
        }
    }

    /// Of something that is created only the new values are shown: there are no old ones.
    fn attributes(&mut self, changes: &[AttributeChange], is_new: bool, indent: usize) {
        let width = changes.iter().map(|change| change.name.chars().count()).max().unwrap_or(0);
        for change in changes {
            let values = match (&change.old, &change.new) {
                (None, Some(new)) if is_new => format!("{GREEN}{}{GREEN:#}", value(new)),
                (None, Some(new)) => format!("(none) -> {GREEN}{}{GREEN:#}", value(new)),
                (Some(old), None) => format!("{RED}{}{RED:#} -> (none)", value(old)),
                (Some(old), Some(new)) => {
                    format!("{RED}{}{RED:#} -> {GREEN}{}{GREEN:#}", value(old), value(new))
                }
                (None, None) => continue,
            };
            let name = &change.name;
            self.line(format_args!("{:indent$}{name:width$}  {values}", ""));
        }
    }

    fn lifecycle(&mut self, change: &LifecycleChange) {
        if let Some(file) = &change.file {
            self.line(format_args!("      from {file}, as it is"));
        }
        for intent in &change.intents {
            let words = describe_intent(&intent.intent);
            match &intent.intent.description {
                Some(description) => {
                    self.line(format_args!("      {BOLD}{description}{BOLD:#} {DIM}({words}){DIM:#}"));
                }
                None => self.line(format_args!("      {BOLD}{words}{BOLD:#}")),
            }
            self.attributes(&intent.attributes, false, 8);
            self.rules(&intent.rules);
        }
        if !change.shared.is_empty() {
            self.line(format_args!("      {BOLD}images that fall under several of these{BOLD:#}"));
            self.rules(&change.shared);
        }
        let removed = |rule: &RuleChange| rule.kind == RuleChangeKind::Removed;
        if !change.intents.is_empty() && change.rules.iter().any(removed) {
            self.line(format_args!("      {BOLD}no longer wanted{BOLD:#}"));
        }
        self.rules(&change.rules);
    }

    /// Rules that stay the same are counted, not listed: a plan is about what differs.
    fn rules(&mut self, rules: &[RuleChange]) {
        let unchanged = rules.iter().filter(|rule| rule.kind == RuleChangeKind::Same).count();
        for change in rules {
            let (symbol, style) = match change.kind {
                RuleChangeKind::Same => continue,
                RuleChangeKind::Added => ("+", GREEN),
                RuleChangeKind::Changed => ("~", YELLOW),
                RuleChangeKind::Removed => ("-", RED),
            };
            let words = describe_rule(&change.rule);
            let priority = change.rule.priority;
            let was = was(change);
            self.line(format_args!("        {style}{symbol}{style:#} rule {priority:<2}  {words}{was}"));
        }
        match unchanged {
            0 => {}
            1 => self.line(format_args!("          {DIM}1 rule unchanged{DIM:#}")),
            more => self.line(format_args!("          {DIM}{more} rules unchanged{DIM:#}")),
        }
    }
}

/// What a rule was before, in short. A changed description is told only if nothing else changed: most are made from the numbers.
fn was(change: &RuleChange) -> String {
    let old = |name: &str| {
        let attribute = change.attributes.iter().find(|attribute| attribute.name == name)?;
        Some(attribute.old.as_ref().map_or("(none)".to_owned(), value))
    };
    let number = old("countNumber").map(|number| format!("was {number}"));
    let priority = old("rulePriority").map(|priority| format!("was rule {priority}"));
    let mut parts: Vec<String> = number.into_iter().chain(priority).collect();
    if parts.is_empty() {
        parts.extend(old("description").map(|description| format!("description was {description}")));
    }
    if parts.is_empty() { String::new() } else { format!(" {YELLOW}({}){YELLOW:#}", parts.join(", ")) }
}

/// Words without spaces stand for themselves, everything else as JSON.
fn value(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_whitespace) => text.clone(),
        Value::Array(elements) if elements.iter().all(Value::is_string) => {
            let words: Vec<&str> = elements.iter().filter_map(Value::as_str).collect();
            words.join(", ")
        }
        other => other.to_string(),
    }
}
