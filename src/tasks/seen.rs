//! What the last look at the source found, so that the dataflow hears only of what is new or changed.
//!
//! A watched folder may hold a million files of which one is new. A look costs one pass over both listings here, off the
//! dataflow's thread, and what stayed the same goes no further. A split that vanished is forgotten, and is news if it
//! comes back.

use crate::connector::SplitInfo;

/// The splits of the last look, by name.
#[derive(Default)]
pub(super) struct Seen(Vec<SplitInfo>);

impl Seen {
    /// What of a look differs from the one before.
    pub(super) fn news(&mut self, mut found: Vec<SplitInfo>) -> Vec<SplitInfo> {
        if !found.is_sorted_by(|one, other| one.name <= other.name) {
            found.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        let mut news = Vec::new();
        let kept = found.into_iter().map(|info| {
            while before.next_if(|known| known.name < info.name).is_some() {}
            // The split of the look before is kept where it is the same: the dataflow holds its texts already.
            before.next_if(|known| *known == info).unwrap_or_else(|| {
                news.push(info.clone());
                info
            })
        });
        self.0 = kept.collect();
        news
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a file that is never read because its change was taken for known, and a listing that goes to the
    //! dataflow whole at every look.

    use super::*;

    fn splits(shown: &[(&str, &str)]) -> Vec<SplitInfo> {
        let split = |(name, revision): &(&str, &str)| SplitInfo {
            name: (*name).into(),
            parents: Vec::new(),
            revision: (*revision).into(),
            from: None,
            until: None,
            arrived_at: None,
        };
        shown.iter().map(split).collect()
    }

    #[test]
    fn only_new_and_changed_splits_are_news() {
        let mut seen = Seen::default();
        let mut look = |shown: &[(&str, &str)]| seen.news(splits(shown));
        assert_eq!(look(&[("b", "1"), ("a", "1"), ("d", "1")]), splits(&[("a", "1"), ("b", "1"), ("d", "1")]));
        assert_eq!(look(&[("d", "1"), ("b", "1"), ("a", "1")]), []);
        assert_eq!(look(&[("a", "1"), ("b", "2"), ("c", "1"), ("d", "1")]), splits(&[("b", "2"), ("c", "1")]));
        assert_eq!(look(&[("c", "1")]), [], "the others are gone");
        assert_eq!(look(&[("a", "1"), ("c", "1"), ("e", "1")]), splits(&[("a", "1"), ("e", "1")]), "a is back");
        let child = SplitInfo { parents: vec!["a".into()], ..splits(&[("c", "1")]).remove(0) };
        assert_eq!(seen.news(vec![child.clone()]), [child], "its parents changed");
    }
}
