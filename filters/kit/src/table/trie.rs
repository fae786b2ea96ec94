//! A radix tree over bytes: finds every stored text that a request's text begins with, in one walk.

/// Nodes of a tree; the first is the root.
#[derive(Debug)]
pub(super) struct Trie<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    /// What leads here from the parent; empty only for the root.
    label: Box<[u8]>,
    value: Option<T>,
    /// First byte of each child's label, in order, and the child.
    children: Vec<(u8, u32)>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { nodes: vec![Node { label: Box::default(), value: None, children: Vec::new() }] }
    }
}

impl<T: Default> Trie<T> {
    /// The value at a text, made if there is none.
    pub(super) fn at(&mut self, text: &[u8]) -> &mut T {
        let mut node = 0;
        let mut rest = text;
        while let Some(first) = rest.first() {
            node = match self.child(node, *first) {
                None => {
                    let leaf = self.add(Node { label: rest.into(), value: None, children: Vec::new() });
                    self.link(node, *first, leaf);
                    rest = &[];
                    leaf
                }
                Some(child) => {
                    let label = self.nodes.get(child).map(|node| node.label.clone()).unwrap_or_default();
                    let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
                    rest = rest.get(common..).unwrap_or_default();
                    if common < label.len() { self.split(node, child, *first, &label, common) } else { child }
                }
            };
        }
        let node = node.min(self.nodes.len() - 1);
        #[allow(clippy::indexing_slicing, reason = "every number handed out is that of a node")]
        self.nodes[node].value.get_or_insert_with(T::default)
    }

    /// Every value.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.nodes.iter_mut().filter_map(|node| node.value.as_mut())
    }

    fn add(&mut self, node: Node<T>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn link(&mut self, parent: usize, first: u8, child: usize) {
        let Some(node) = self.nodes.get_mut(parent) else { return };
        let child = u32::try_from(child).unwrap_or(u32::MAX);
        match node.children.binary_search_by_key(&first, |(byte, _)| *byte) {
            Ok(at) => node.children.splice(at..=at, [(first, child)]).for_each(drop),
            Err(at) => node.children.insert(at, (first, child)),
        }
    }

    /// Puts a node between a parent and its child, where a text leaves the child's label.
    fn split(&mut self, parent: usize, child: usize, first: u8, label: &[u8], at: usize) -> usize {
        let (upper, lower) = label.split_at_checked(at).unwrap_or((label, &[]));
        if let Some(node) = self.nodes.get_mut(child) {
            node.label = lower.into();
        }
        let middle = self.add(Node { label: upper.into(), value: None, children: Vec::new() });
        self.link(middle, lower.first().copied().unwrap_or(0), child);
        self.link(parent, first, middle);
        middle
    }
}

impl<T> Trie<T> {
    fn child(&self, node: usize, first: u8) -> Option<usize> {
        let node = self.nodes.get(node)?;
        let at = node.children.binary_search_by_key(&first, |(byte, _)| *byte).ok()?;
        node.children.get(at).and_then(|(_, child)| usize::try_from(*child).ok())
    }

    /// Shows the value of every stored text that `text` begins with, shortest first, and how many bytes of `text` follow it.
    pub(super) fn visit<'a>(
        &'a self,
        text: impl ExactSizeIterator<Item = u8> + Clone,
        mut see: impl FnMut(&'a T, usize),
    ) {
        let length = text.len();
        let (mut node, mut taken, mut rest) = (self.nodes.first(), 0, text);
        while let Some(here) = node {
            if let Some(value) = &here.value {
                see(value, length - taken);
            }
            let Some(first) = rest.clone().next() else { return };
            let Ok(at) = here.children.binary_search_by_key(&first, |(byte, _)| *byte) else { return };
            let child = here.children.get(at).and_then(|(_, child)| usize::try_from(*child).ok());
            let Some(next) = child.and_then(|child| self.nodes.get(child)) else { return };
            for byte in &*next.label {
                if rest.next() != Some(*byte) {
                    return;
                }
            }
            taken += next.label.len();
            node = Some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(trie: &Trie<Vec<usize>>, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        trie.visit(text.iter().copied(), |value, rest| found.extend(value.iter().map(|number| (*number, rest))));
        found
    }

    #[test]
    fn every_prefix_is_found_shortest_first() {
        let mut trie: Trie<Vec<usize>> = Trie::default();
        for (number, text) in ["", "/a", "/ab", "/b/c", "/abc"].iter().enumerate() {
            trie.at(text.as_bytes()).push(number);
        }
        assert_eq!(found(&trie, b"/abd"), [(0, 4), (1, 2), (2, 1)]);
        assert_eq!(found(&trie, b"/b/c"), [(0, 4), (3, 0)]);
        assert_eq!(found(&trie, b"/b"), [(0, 2)]);
        assert_eq!(found(&trie, b""), [(0, 0)]);
    }

    proptest! {
        #[test]
        fn a_tree_finds_what_a_list_finds(texts in proptest::collection::vec("[ab/]{0,6}", 0..40), text in "[ab/]{0,8}") {
            let mut trie: Trie<Vec<usize>> = Trie::default();
            texts.iter().enumerate().for_each(|(number, text)| trie.at(text.as_bytes()).push(number));
            let mut seen: Vec<_> = found(&trie, text.as_bytes()).into_iter().map(|(number, _)| number).collect();
            seen.sort_unstable();
            let plain = texts.iter().enumerate().filter(|(_, prefix)| text.starts_with(prefix.as_str()));
            prop_assert_eq!(seen, plain.map(|(number, _)| number).collect::<Vec<_>>());
        }
    }
}
