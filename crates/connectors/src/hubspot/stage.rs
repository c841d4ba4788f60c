//! `lifecyclestage`: how far somebody has come, which never goes back.

use domain::identity::Stage;

/// The stages that every account has, in the order in which people pass them. An account may have others in place of some.
const STAGES: &[&str] = &[
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "other",
];

/// The stage that somebody has reached.
pub(super) const fn of(stage: Stage) -> &'static str {
    match stage {
        Stage::Visitor | Stage::Lead => "lead",
        Stage::Customer => "customer",
    }
}

/// Whether a stage is farther than all that the contacts of a person are in. From a stage of the account's own making nobody is moved:
/// only the account knows what comes after it.
pub(super) fn is_forward(stage: &str, present: &[String]) -> bool {
    let rank = |stage: &str| STAGES.iter().position(|known| known.eq_ignore_ascii_case(stage));
    present.iter().all(|present| match (rank(present), rank(stage)) {
        (Some(present), Some(stage)) => present < stage,
        // One of the account's own that somebody asks for by name is theirs to order.
        (Some(_), None) => true,
        (None, _) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_only_moves_forward_and_never_from_one_that_nobody_else_knows() {
        let is_forward =
            |stage, present: &[&str]| is_forward(stage, &present.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert!(is_forward("lead", &[]) && is_forward("lead", &["subscriber"]) && is_forward("customer", &["lead"]));
        assert!(
            !is_forward("lead", &["lead"]) && !is_forward("lead", &["customer"]) && !is_forward("customer", &["other"])
        );
        assert!(!is_forward("customer", &["lead", "evangelist"]) && !is_forward("customer", &["8841"]));
        assert!(is_forward("8841", &["lead"]));
    }
}
