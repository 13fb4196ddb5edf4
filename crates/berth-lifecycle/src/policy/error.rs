//! What can be wrong with a policy text, in Amazon ECR's words and in ours.

use std::fmt;
use std::ops::Range;

use berth_types::limits;

/// The rule of the grammar that a text breaks. The number is stable and is what `lint` and the documentation cite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Clause {
    /// V1: 100 to 30,720 characters.
    TextLength,
    /// V2: a JSON document that can be mapped to a policy.
    Mapping,
    /// V3: the member `rules`.
    RulesMissing,
    /// V4: one to fifty rules.
    RuleCount,
    /// V5: the members that a rule, a selection and an action must have.
    MemberMissing,
    /// V6: no other members.
    MemberUnknown,
    /// V7: values from a fixed set.
    EnumValue,
    /// V8: members that do not go together.
    Shape,
    /// V9: numbers of 1 or more.
    Minimum,
    /// V10: no null, and no value of another type.
    Type,
    /// V11: each priority once.
    DuplicatePriority,
    /// V12: `any` comes last in its storage class.
    AnyNotLast,
    /// V13: one `any` in each storage class.
    SeveralAny,
    /// V14: one `untagged` in each storage class.
    SeveralUntagged,
    /// V15: no set of prefixes twice in a storage class.
    DuplicatePrefixes,
    /// V16: `tagged` needs a list.
    ListMissing,
    /// V17: only one of the two lists.
    BothLists,
    /// V18: no list with `untagged` and `any`.
    ListNotAllowed,
    /// V19: at most four `*` in one pattern.
    Wildcards,
    /// V20: three of the four count types look at standard storage only.
    StandardOnly,
    /// V21: pull age can archive, not expire.
    PulledOnlyArchives,
    /// V22: archive age can expire, from the archive, after 90 days.
    TransitionedOnlyExpires,
}

impl Clause {
    /// The identifier, `V1` to `V22`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        const IDS: [&str; 22] = [
            "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V10", "V11", "V12", "V13", "V14", "V15",
            "V16", "V17", "V18", "V19", "V20", "V21", "V22",
        ];
        IDS[self as usize]
    }

    /// When the clause is checked. ECR stops at the first stage that fails and reports that one alone.
    const fn stage(self) -> Stage {
        match self {
            Self::TextLength => Stage::Length,
            Self::Mapping => Stage::Mapping,
            Self::RulesMissing
            | Self::RuleCount
            | Self::MemberMissing
            | Self::MemberUnknown
            | Self::EnumValue
            | Self::Shape
            | Self::Minimum
            | Self::Type => Stage::Schema,
            _ => Stage::Meaning,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Length,
    Schema,
    Mapping,
    Meaning,
}

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule of the grammar is broken.
    pub clause: Clause,
    /// Where, as a JSON pointer (`/rules/0/selection/countUnit`). It may name a member that is missing.
    pub pointer: String,
    /// Where in the text, in bytes; absent when there is no text or the text is too long to be read.
    pub span: Option<Range<usize>>,
    /// Amazon ECR's words for it, without the shell around them.
    pub aws_text: String,
    /// What to write instead.
    pub hint: String,
}

/// Why a text is not a lifecycle policy: every violation found, in the order of the text within each stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    violations: Vec<Violation>,
}

const SHELL: &str = "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: ";

impl PolicyError {
    /// An error with these violations, or nothing if there are none.
    pub(crate) fn new(mut violations: Vec<Violation>) -> Option<Self> {
        violations.sort_by_key(|violation| violation.clause.stage());
        (!violations.is_empty()).then_some(Self { violations })
    }

    /// Everything that is wrong, earliest stage first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The `message` of Amazon ECR's `InvalidParameterException` for this text: the violations of the first stage that
    /// fails, each line once, inside the shell that ECR puts around them.
    #[must_use]
    pub fn aws_message(&self) -> String {
        let Some(stage) = self.violations.first().map(|violation| violation.clause.stage()) else {
            return String::new();
        };
        let mut lines: Vec<&str> = Vec::new();
        for violation in self.violations.iter().filter(|violation| violation.clause.stage() == stage) {
            if !lines.contains(&violation.aws_text.as_str()) {
                lines.push(&violation.aws_text);
            }
        }
        let detail = lines.join("\n");
        match stage {
            Stage::Length => format!("{SHELL}'{detail}'"),
            Stage::Mapping => format!("{SHELL}'Lifecycle policy parsing failure: {detail}'"),
            Stage::Schema | Stage::Meaning => {
                format!("{SHELL}'Lifecycle policy validation failure: {detail}'")
            }
        }
    }

    /// [`Self::aws_message`] first, so that clients which look for its words find them, then one line for each violation
    /// that says where it is and what to write instead.
    #[must_use]
    pub fn api_message(&self) -> String {
        use fmt::Write as _;
        let mut message = self.aws_message();
        for Violation { clause, pointer, hint, .. } in &self.violations {
            let place = if pointer.is_empty() { "the policy" } else { pointer };
            // Writing to a String cannot fail.
            let _ = write!(message, "\n{}: {place}: {hint}", clause.id());
        }
        message
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.api_message())
    }
}

impl std::error::Error for PolicyError {}

/// V1 for a text of `chars` characters, if it breaks it.
pub(crate) fn length_violation(chars: usize) -> Option<Violation> {
    let (min, max) = (limits::LIFECYCLE_POLICY_CHARS_MIN, limits::LIFECYCLE_POLICY_CHARS_MAX);
    let (aws_text, hint) = if chars < min {
        (
            format!("Member must have length greater than or equal to {min}"),
            format!(
                "the text has {chars} characters and needs {min}; a description in each rule is worth having"
            ),
        )
    } else if chars > max {
        (
            format!("Member must have length less than or equal to {max}"),
            format!(
                "the text has {chars} characters, {} too many; shorten descriptions or lists",
                chars - max
            ),
        )
    } else {
        return None;
    };
    Some(Violation { clause: Clause::TextLength, pointer: String::new(), span: None, aws_text, hint })
}
