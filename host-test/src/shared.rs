//! Data that all workers share: key-value pairs with compare-and-swap numbers, and queues, both by `vm_id`.

use crate::abi::Status;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Key-value pairs by `vm_id`. One counter for the whole process gives the compare-and-swap numbers.
#[derive(Default)]
pub struct SharedData {
    inner: Mutex<Data>,
    between: Mutex<Option<Between>>,
    is_blind: AtomicBool,
}

/// Runs between a guest's read of a key and whatever the guest does next.
type Between = Arc<dyn Fn(&[u8]) + Send + Sync>;

impl std::fmt::Debug for SharedData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedData").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Data {
    last_cas: u32,
    spaces: HashMap<String, Space>,
}

/// Values with their compare-and-swap numbers.
type Space = BTreeMap<Vec<u8>, (Vec<u8>, u32)>;

impl SharedData {
    /// The value and its compare-and-swap number.
    pub fn get(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.lock().spaces.get(vm_id)?.get(key).cloned()
    }

    /// Stores a value. A `cas` of 0, or a key that is not there, always stores.
    pub fn set(&self, vm_id: &str, key: &[u8], value: &[u8], cas: u32) -> Status {
        let mut data = self.lock();
        let next = data.last_cas.wrapping_add(1).max(1);
        let space = data.spaces.entry(vm_id.to_owned()).or_default();
        match space.get_mut(key) {
            Some((_, current)) if cas != 0 && cas != *current && !self.is_blind.load(Ordering::Relaxed) => {
                return Status::CasMismatch;
            }
            Some(entry) => *entry = (value.to_vec(), next),
            None => {
                space.insert(key.to_vec(), (value.to_vec(), next));
            }
        }
        data.last_cas = next;
        Status::Ok
    }

    /// From now on `run` is called with the key after each read of a guest, before the guest sees what was read: a moment for others
    /// to change it. It may run other workers of this thread, and is called for their reads as well.
    pub fn run_after_reads(&self, run: impl Fn(&[u8]) + Send + Sync + 'static) {
        *self.between.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(run));
    }

    /// Stores whatever the number says, as no host does: with it a test shows that it sees lost updates.
    pub fn ignore_numbers(&self) {
        self.is_blind.store(true, Ordering::Relaxed);
    }

    /// A guest has read a key.
    pub(crate) fn after_read(&self, key: &[u8]) {
        let run = self.between.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(run) = run {
            run(key);
        }
    }

    /// All keys and values of one `vm_id`, in key order.
    pub fn snapshot(&self, vm_id: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
        let data = self.lock();
        let entries = data.spaces.get(vm_id).into_iter().flatten();
        entries.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Data> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is told that a queue has something: the last one that registered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registrant {
    pub(crate) worker: u64,
    pub(crate) vm: u64,
    pub(crate) root: u32,
}

/// Unbounded first-in first-out queues by `vm_id` and name.
#[derive(Debug, Default)]
pub(crate) struct SharedQueues {
    inner: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    by_name: HashMap<(String, Vec<u8>), u32>,
    queues: Vec<Queue>,
    ready: Vec<(Registrant, u32)>,
}

#[derive(Debug)]
struct Queue {
    registrant: Registrant,
    items: VecDeque<Vec<u8>>,
}

impl SharedQueues {
    pub(crate) fn register(&self, vm_id: &str, name: &[u8], registrant: Registrant) -> u32 {
        let mut inner = self.lock();
        let key = (vm_id.to_owned(), name.to_vec());
        if let Some(token) = inner.by_name.get(&key).copied() {
            if let Some(queue) = inner.queue(token) {
                queue.registrant = registrant;
            }
            return token;
        }
        inner.queues.push(Queue { registrant, items: VecDeque::new() });
        let token = u32::try_from(inner.queues.len()).unwrap_or(u32::MAX);
        inner.by_name.insert(key, token);
        token
    }

    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        self.lock().by_name.get(&(vm_id.to_owned(), name.to_vec())).copied()
    }

    pub(crate) fn enqueue(&self, token: u32, item: &[u8]) -> Status {
        let mut inner = self.lock();
        let Some(queue) = inner.queue(token) else { return Status::NotFound };
        queue.items.push_back(item.to_vec());
        let registrant = queue.registrant;
        inner.ready.push((registrant, token));
        Status::Ok
    }

    pub(crate) fn dequeue(&self, token: u32) -> Result<Vec<u8>, Status> {
        let mut inner = self.lock();
        let queue = inner.queue(token).ok_or(Status::NotFound)?;
        queue.items.pop_front().ok_or(Status::Empty)
    }

    /// Takes the notices that wait for one worker.
    pub(crate) fn take_ready(&self, worker: u64) -> Vec<(Registrant, u32)> {
        let mut inner = self.lock();
        let (mine, others) = std::mem::take(&mut inner.ready).into_iter().partition(|(who, _)| who.worker == worker);
        inner.ready = others;
        mine
    }

    pub(crate) fn has_ready(&self, worker: u64) -> bool {
        self.lock().ready.iter().any(|(who, _)| who.worker == worker)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    fn queue(&mut self, token: u32) -> Option<&mut Queue> {
        self.queues.get_mut(usize::try_from(token).ok()?.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_and_swap_follows_the_hosts_rules() {
        let data = SharedData::default();
        assert_eq!(data.get("v", b"k"), None);
        assert_eq!(data.set("v", b"k", b"1", 77), Status::Ok, "a missing key is created with any number");
        let (_, cas) = data.get("v", b"k").unwrap();
        assert_eq!(cas, 1);
        assert_eq!(data.set("v", b"k", b"2", cas + 1), Status::CasMismatch);
        assert_eq!(data.set("v", b"k", b"2", cas), Status::Ok);
        assert_eq!(data.set("v", b"k", b"3", cas), Status::CasMismatch, "the number is spent");
        assert_eq!(data.set("v", b"k", b"", 0), Status::Ok, "0 always stores");
        assert_eq!(data.get("v", b"k").unwrap(), (Vec::new(), 3));
        assert_eq!(data.set("w", b"k", b"x", 0), Status::Ok);
        assert_eq!(data.get("w", b"k").unwrap().1, 4, "one counter for the whole process");
        assert_eq!(data.snapshot("w"), [(b"k".to_vec(), b"x".to_vec())]);
    }

    #[test]
    fn others_have_a_moment_after_a_read() {
        let data = Arc::new(SharedData::default());
        data.after_read(b"k");
        let other = Arc::clone(&data);
        data.run_after_reads(move |key| assert_eq!(other.set("v", key, b"theirs", 0), Status::Ok));
        data.set("v", b"k", b"0", 0);
        let (_, cas) = data.get("v", b"k").unwrap();
        data.after_read(b"k");
        assert_eq!(data.set("v", b"k", b"mine", cas), Status::CasMismatch);
        data.ignore_numbers();
        assert_eq!(data.set("v", b"k", b"mine", cas), Status::Ok);
    }

    #[test]
    fn a_queue_belongs_to_its_last_registrant() {
        let queues = SharedQueues::default();
        let who = |worker| Registrant { worker, vm: 1, root: 1 };
        let token = queues.register("v", b"q", who(1));
        assert_eq!(queues.register("v", b"q", who(2)), token);
        assert_eq!(queues.resolve("v", b"q"), Some(token));
        assert_eq!(queues.resolve("w", b"q"), None);
        assert_eq!(queues.dequeue(token), Err(Status::Empty));
        assert_eq!(queues.dequeue(9), Err(Status::NotFound));
        assert_eq!(queues.enqueue(0, b"x"), Status::NotFound);
        assert_eq!(queues.enqueue(token, b"x"), Status::Ok);
        assert!(queues.take_ready(1).is_empty());
        assert_eq!(queues.take_ready(2), [(who(2), token)]);
        assert_eq!(queues.dequeue(token), Ok(b"x".to_vec()));
    }
}
