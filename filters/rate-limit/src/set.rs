//! One row of the table: eight entries that share a place in the store, so that one compare-and-swap covers each change.
//!
//! The table has a fixed number of rows. An entry whose buckets are all full and whose windows are all over says nothing
//! that an absent one does not, so its place is free again: the table forgets nothing that counts until more keys are in
//! use at once than it holds.

/// Entries of a row.
pub const WAYS: usize = 8;
/// Bytes of one limit's state: two numbers.
pub const STATE: usize = 16;
const FINGERPRINT: usize = 8;

/// The state of one limit, as two numbers; what they mean is the limit's business. All zeros is unused.
pub type State = (u64, u64);

/// A row as it lies in the store. Entries are fingerprint and states, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    bytes: Vec<u8>,
    /// States of an entry.
    limits: usize,
}

/// Where the entry of a key stands, or may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is there.
    Found(usize),
    /// It is not, and may take this place.
    Free(usize),
    /// It is not, and all places are in use.
    Full,
}

impl Row {
    /// A row from the store; anything that has not its size is an empty one.
    pub fn new(bytes: Option<&[u8]>, limits: usize) -> Self {
        let size = WAYS * entry_size(limits);
        let bytes = bytes.filter(|bytes| bytes.len() == size).map_or_else(|| vec![0; size], <[u8]>::to_vec);
        Self { bytes, limits }
    }

    /// What goes into the store.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Looks for a key's entry. `is_idle` says of the states of another whether its place may be taken.
    pub fn find(&self, fingerprint: u64, is_idle: impl Fn(&[State]) -> bool) -> Place {
        // most keys are there, and then nothing has to be known of others
        if let Some(way) = (0..WAYS).find(|way| self.fingerprint(*way) == fingerprint) {
            return Place::Found(way);
        }
        let mut free = None;
        for way in 0..WAYS {
            match self.fingerprint(way) {
                0 => free = free.or(Some((way, false))),
                _ => {
                    // an unused place is better than one that has just become free
                    if !matches!(free, Some((_, false))) && is_idle(&self.states(way)) {
                        free = free.or(Some((way, true)));
                    }
                }
            }
        }
        free.map_or(Place::Full, |(way, _)| Place::Free(way))
    }

    /// The states of an entry.
    pub fn states(&self, way: usize) -> Vec<State> {
        (0..self.limits)
            .map(|limit| {
                let at = way * entry_size(self.limits) + FINGERPRINT + limit * STATE;
                (self.number(at), self.number(at + 8))
            })
            .collect()
    }

    /// Writes an entry.
    pub fn write(&mut self, way: usize, fingerprint: u64, states: &[State]) {
        let at = way * entry_size(self.limits);
        let numbers = states.iter().flat_map(|(first, second)| [*first, *second]);
        let bytes = std::iter::once(fingerprint).chain(numbers).flat_map(u64::to_le_bytes);
        let size = entry_size(self.limits);
        for (place, byte) in self.bytes.iter_mut().skip(at).take(size).zip(bytes) {
            *place = byte;
        }
    }

    fn fingerprint(&self, way: usize) -> u64 {
        self.number(way * entry_size(self.limits))
    }

    fn number(&self, at: usize) -> u64 {
        self.bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
    }
}

fn entry_size(limits: usize) -> usize {
    FINGERPRINT + limits * STATE
}

/// Bytes of a row with so many limits.
pub fn row_size(limits: usize) -> usize {
    WAYS * entry_size(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_and_free_places_are_told() {
        let mut row = Row::new(None, 2);
        assert_eq!(row.find(7, |_| false), Place::Free(0));
        row.write(0, 7, &[(1, 2), (3, 4)]);
        let row = Row::new(Some(&row.into_bytes()), 2);
        assert_eq!((row.find(7, |_| false), row.states(0)), (Place::Found(0), vec![(1, 2), (3, 4)]));
        assert_eq!(row.find(8, |_| false), Place::Free(1));
    }

    #[test]
    fn idle_entries_give_way_and_busy_ones_do_not() {
        let mut row = Row::new(None, 1);
        (0..WAYS).for_each(|way| row.write(way, way as u64 + 1, &[(way as u64, 0)]));
        assert_eq!(row.find(99, |_| false), Place::Full);
        assert_eq!(row.find(99, |states| states[0].0 == 5), Place::Free(5));
        assert_eq!(row.find(8, |_| true), Place::Found(7), "its own entry, though others are idle");
    }

    #[test]
    fn bytes_of_another_size_are_no_row() {
        assert_eq!(Row::new(Some(&[1; 7]), 1), Row::new(None, 1));
        assert_eq!(Row::new(Some(&vec![1; row_size(2)]), 1), Row::new(None, 1));
        assert_eq!(Row::new(None, 1).into_bytes().len(), 192);
    }
}
