//! Where to go on after a stop or a crash, from facts already read.

/// What is known of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It and all files it refers to are as they were written.
    Whole,
    /// It, or a file it refers to, is damaged or missing.
    Damaged,
}

/// Whether rows of the damaged newest checkpoint may be out already. The caller asks every sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Every sink answers that they are not, or there are only views and tables.
    Nowhere,
    /// Some sink has published them, or cannot tell.
    Perhaps,
}

/// The newest manifest and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryFacts {
    /// Number and health of the newest; `None` for a new pipeline.
    pub newest: Option<(u64, Health)>,
    /// The one right before it, if it was kept.
    pub before: Option<(u64, Health)>,
    /// Asked only if the newest is damaged.
    pub published: Published,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// From the beginning: there has been no checkpoint.
    Fresh,
    /// From the newest, after its publication is finished.
    Resume(u64),
    /// From the one before the damaged newest: nobody has seen a row of the newest.
    FallBack {
        /// The whole one.
        to: u64,
        /// The one left behind.
        damaged: u64,
    },
    /// Not without a user's word: rows after the older checkpoint would be emitted again.
    Stop {
        /// The damaged one.
        damaged: u64,
        /// What the user can name in `RESTORE PIPELINE … FROM CHECKPOINT`, if there is one.
        offer: Option<u64>,
    },
}

/// Decides. Falling back silently is allowed only where nobody can notice.
pub fn choose(facts: RecoveryFacts) -> Recovery {
    let offer = match facts.before {
        Some((number, Health::Whole)) => Some(number),
        _ => None,
    };
    match (facts.newest, offer, facts.published) {
        (None, _, _) => Recovery::Fresh,
        (Some((number, Health::Whole)), _, _) => Recovery::Resume(number),
        (Some((damaged, Health::Damaged)), Some(to), Published::Nowhere) => Recovery::FallBack { to, damaged },
        (Some((damaged, Health::Damaged)), offer, _) => Recovery::Stop { damaged, offer },
    }
}

/// The message for [`Recovery::Stop`]: the damage, and the way out.
pub fn stop_message(pipeline: &str, damage: &str, offer: Option<u64>) -> String {
    let hint = match offer {
        Some(number) => format!("RESTORE PIPELINE {pipeline} FROM CHECKPOINT {number} goes on there and emits later rows again"),
        None => "no older checkpoint can be read: put the file back from a copy, or drop the pipeline".to_owned(),
    };
    format!("pipeline {pipeline} cannot go on from its newest checkpoint: {damage} (hint: {hint})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_an_answer() {
        use {Health::*, Published::*, Recovery::*};
        for (newest, before, published, expected) in [
            (None, None, Perhaps, Fresh),
            (Some((1, Whole)), None, Perhaps, Resume(1)),
            (Some((5, Whole)), Some((4, Damaged)), Perhaps, Resume(5)),
            (Some((5, Damaged)), Some((4, Whole)), Nowhere, FallBack { to: 4, damaged: 5 }),
            (Some((5, Damaged)), Some((4, Whole)), Perhaps, Stop { damaged: 5, offer: Some(4) }),
            (Some((5, Damaged)), Some((4, Damaged)), Nowhere, Stop { damaged: 5, offer: None }),
            (Some((1, Damaged)), None, Nowhere, Stop { damaged: 1, offer: None }),
        ] {
            assert_eq!(choose(RecoveryFacts { newest, before, published }), expected);
        }
    }

    #[test]
    fn the_way_out_is_named() {
        let message = stop_message("p", "'manifest-5.json' is damaged", Some(4));
        assert!(message.contains("RESTORE PIPELINE p FROM CHECKPOINT 4") && message.contains("manifest-5.json"), "{message}");
        assert!(stop_message("p", "x", None).contains("no older checkpoint"));
    }
}
