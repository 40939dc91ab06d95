//! The groups that a worker keeps totals of, each once and under a number.
//!
//! Owns their bytes and when a number is free again. What must stay true: a number stands for one group for as long as a total
//! has it, or an update with it is on its way to the totals.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a group costs beside its bytes: its slot and its place in the table, both with room to grow, and the allocation of
/// its bytes.
const OVERHEAD: usize = 80;

/// Groups of all averages.
#[derive(Default)]
pub(super) struct Groups {
    table: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    bytes: usize,
}

#[derive(Default)]
struct Slot {
    group: Box<[u8]>,
    average: u16,
    /// Totals that have this group.
    totals: u32,
    /// The newest epoch in which an update with this group was handed on.
    until: u64,
}

impl Slot {
    fn hash(&self) -> u64 {
        hash(self.average, &self.group)
    }
}

fn hash(average: u16, group: &[u8]) -> u64 {
    xxh3_64_with_seed(group, u64::from(average))
}

impl Groups {
    /// The number of a group of which an update is handed on in `epoch`.
    pub(super) fn number(&mut self, average: u16, group: &[u8], epoch: u64) -> u32 {
        let hash = hash(average, group);
        let slots = &self.slots;
        let is_it = |number: &u32| {
            let slot = &slots[*number as usize];
            slot.average == average && *slot.group == *group
        };
        let number = match self.table.find(hash, is_it) {
            Some(number) => *number,
            None => self.begin(hash, average, group),
        };
        let slot = &mut self.slots[number as usize];
        slot.until = slot.until.max(epoch);
        number
    }

    fn begin(&mut self, hash: u64, average: u16, group: &[u8]) -> u32 {
        let slot = Slot { group: group.into(), average, totals: 0, until: 0 };
        self.bytes += group.len() + OVERHEAD;
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        let slots = &self.slots;
        self.table.insert_unique(hash, number, |number| slots[*number as usize].hash());
        number
    }

    /// The bytes of a group.
    pub(super) fn get(&self, number: u32) -> &[u8] {
        &self.slots[number as usize].group
    }

    /// A total of this group has begun.
    pub(super) fn begins(&mut self, number: u32) {
        self.slots[number as usize].totals += 1;
    }

    /// A total of this group has ceased in `epoch`. The number is free with the last one, unless a later update has it.
    pub(super) fn ceases(&mut self, number: u32, epoch: u64) {
        let slot = &mut self.slots[number as usize];
        slot.totals = slot.totals.saturating_sub(1);
        if slot.totals > 0 || slot.until > epoch {
            return;
        }
        let slot = std::mem::take(slot);
        self.bytes -= slot.group.len() + OVERHEAD;
        if let Ok(entry) = self.table.find_entry(slot.hash(), |other| *other == number) {
            entry.remove();
        }
        self.free.push(number);
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a number that stands for two groups at once, and groups that are kept for ever.
    use super::*;

    #[test]
    fn a_number_is_free_once_no_total_and_no_update_has_it() {
        let mut groups = Groups::default();
        let (a, b) = (groups.number(0, b"a", 1), groups.number(1, b"a", 1));
        assert_ne!(a, b);
        [a, a, b].into_iter().for_each(|number| groups.begins(number));
        groups.ceases(a, 2);
        assert_eq!(groups.number(0, b"a", 5), a, "a total still has it");
        groups.ceases(a, 3);
        assert_eq!(groups.number(0, b"c", 5), 2, "an update of epoch 5 is on its way");
        groups.begins(a);
        groups.ceases(a, 5);
        assert_eq!(groups.number(0, b"d", 6), a);
        assert_eq!((groups.get(a), groups.get(b)), (&b"d"[..], &b"a"[..]));
        assert_ne!(groups.number(0, b"a", 6), a);
    }

    #[test]
    fn memory_does_not_grow_with_groups_that_have_gone() {
        let mut groups = Groups::default();
        for epoch in 0..1_000u64 {
            let number = groups.number(0, &epoch.to_le_bytes(), epoch);
            groups.begins(number);
            groups.ceases(number, epoch);
        }
        assert_eq!((groups.slots.len(), groups.size()), (1, 0));
    }
}
