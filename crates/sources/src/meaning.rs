//! What a sender means where its documents say two things.

use domain::Settings;
use domain::connector::{Field, FieldKind};
use domain::identity::ReferralCreated;

/// The setting that says what `referral.created` means.
pub(crate) const REFERRAL_CREATED: Field = Field::optional(
    "referral_created",
    FieldKind::Choice { of: ReferralCreated::CODES },
    "what `referral.created` means: `code`, somebody got a code to hand out; `sign_up`, somebody signed up through a \
     referral; `shown`, whichever its members show",
)
.or("shown");

/// What the setting says.
pub(crate) fn referral_created(settings: &Settings) -> ReferralCreated {
    settings.text(REFERRAL_CREATED.name).and_then(ReferralCreated::from_code).unwrap_or_default()
}
