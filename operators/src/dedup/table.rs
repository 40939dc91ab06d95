//! A hash table of keys and days in as little memory as possible.
//!
//! An entry takes 20 bytes, and one control byte of the table, which is 7/16 to 7/8 full: 24 to 48 bytes a key. A large table is split
//! into many small ones, so that growth never needs two whole tables at once.

use hashbrown::HashTable;

use super::Key;

/// A large table is split by the top bits of the key.
const BITS: u32 = 8;
/// From this number of keys on.
const MANY: usize = 1 << 16;

/// An entry, without padding.
#[derive(Clone, Copy)]
struct KeyDay {
    key: [u32; 4],
    day: i32,
}

impl KeyDay {
    fn new(key: Key, day: i32) -> Self {
        KeyDay { key: [(key >> 96) as u32, (key >> 64) as u32, (key >> 32) as u32, key as u32], day }
    }

    fn is(&self, key: Key) -> bool {
        self.key == KeyDay::new(key, 0).key
    }

    fn hash(&self) -> u64 {
        u64::from(self.key[2]) << 32 | u64::from(self.key[3])
    }
}

/// Days by key.
pub(super) struct Table {
    parts: Vec<HashTable<KeyDay>>,
    len: usize,
    /// A lower bound of all days.
    oldest: i32,
}

impl Default for Table {
    fn default() -> Self {
        Table { parts: vec![HashTable::new()], len: 0, oldest: i32::MAX }
    }
}

impl Table {
    fn part(&self, key: Key) -> usize {
        if self.parts.len() == 1 { 0 } else { (key >> (Key::BITS - BITS)) as usize }
    }

    /// Splits the table.
    fn divide(&mut self) {
        let whole = self.parts.pop().unwrap_or_default();
        self.parts = (0..1 << BITS).map(|_| HashTable::new()).collect();
        for entry in whole {
            self.parts[(entry.key[0] >> (u32::BITS - BITS)) as usize].insert_unique(entry.hash(), entry, KeyDay::hash);
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<i32> {
        self.parts[self.part(key)].find(key as u64, |entry| entry.is(key)).map(|entry| entry.day)
    }

    /// Sets the day of a key.
    pub(super) fn keep(&mut self, key: Key, day: i32) {
        self.oldest = self.oldest.min(day);
        if self.len == MANY && self.parts.len() == 1 {
            self.divide();
        }
        let part = self.part(key);
        let part = &mut self.parts[part];
        match part.find_mut(key as u64, |entry| entry.is(key)) {
            Some(entry) => entry.day = day,
            None => {
                part.insert_unique(key as u64, KeyDay::new(key, day), KeyDay::hash);
                self.len += 1;
            }
        }
    }

    /// Removes the keys of older days.
    pub(super) fn forget_before(&mut self, day: i32) {
        if day <= self.oldest {
            return;
        }
        let mut oldest = i32::MAX;
        for part in &mut self.parts {
            part.retain(|entry| {
                let stays = entry.day >= day;
                if stays {
                    oldest = oldest.min(entry.day);
                }
                stays
            });
            if part.len() < part.capacity() / 4 {
                part.shrink_to(part.len() * 2, KeyDay::hash);
            }
        }
        self.oldest = oldest;
        self.len = self.parts.iter().map(HashTable::len).sum();
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        self.parts.iter().map(HashTable::allocation_size).sum::<usize>()
            + self.parts.capacity() * size_of::<HashTable<KeyDay>>()
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a key that takes too much memory, and one that is removed too early or never.

    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn key(n: u32) -> Key {
        xxh3_128(&n.to_le_bytes())
    }

    #[test]
    fn a_key_takes_less_than_sixty_bytes_at_any_number_of_them() {
        let mut table = Table::default();
        for n in 0..400_000 {
            table.keep(key(n), 1);
            if n > 100 && n % 97 == 0 {
                assert!(table.size() < table.len() * 60, "{} bytes for {} keys", table.size(), table.len());
            }
        }
    }

    #[test]
    fn keys_are_found_until_their_day_is_over() {
        let mut table = Table::default();
        (0..1000).for_each(|n| table.keep(key(n), (n / 100) as i32));
        table.keep(key(5), 9);
        table.forget_before(7);
        let known: Vec<u32> = (0..1000).filter(|n| table.get(key(*n)).is_some()).collect();
        assert_eq!(known, [5].into_iter().chain(700..1000).collect::<Vec<u32>>());
        assert_eq!((table.len(), table.get(key(5)), table.get(key(750))), (301, Some(9), Some(7)));
        table.forget_before(100);
        assert_eq!((table.len(), table.get(key(999))), (0, None));
    }
}
