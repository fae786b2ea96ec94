/// An input: choices in its first bytes, and a text.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    choices: [u8; 4],
    /// What is to be read.
    pub text: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None` for an input that is too short to choose.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        bytes.split_first_chunk().map(|(choices, text)| Self { choices: *choices, text })
    }

    /// The input that chooses `mode` and some split, for seeds.
    #[must_use]
    pub fn seed(mode: u8, text: &[u8]) -> Vec<u8> {
        [&[mode, 3, 0, 17], text].concat()
    }

    /// A number for the target to interpret.
    #[must_use]
    pub fn mode(&self) -> u8 {
        self.choices[0]
    }

    /// `bytes` in pieces of lengths that the input chooses.
    pub fn pieces<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let [_, lengths @ ..] = self.choices;
        let mut lengths = lengths.into_iter().cycle();
        let mut rest = bytes;
        let mut empty = 0;
        std::iter::from_fn(move || {
            let length = usize::from(lengths.next()?);
            // Three choices of 0 would never end.
            empty = if length == 0 { empty + 1 } else { 0 };
            let length = if empty > 2 { rest.len() } else { length.min(rest.len()) };
            if rest.is_empty() {
                return None;
            }
            let (piece, tail) = rest.split_at(length);
            rest = tail;
            Some(piece)
        })
    }

    /// The ways to feed `bytes` that must not differ: whole, as chosen, byte by byte.
    #[must_use]
    pub fn splits<'b>(&self, bytes: &'b [u8]) -> [Vec<&'b [u8]>; 3] {
        [vec![bytes], self.pieces(bytes).collect(), bytes.chunks(1).collect()]
    }

    /// Asserts that `run` gives the same for all of [`Input::splits`], and returns it.
    pub fn same_under_splits<T: PartialEq + std::fmt::Debug>(&self, bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
        let [whole, chosen, single] = self.splits(bytes);
        let expected = run(&whole);
        assert_eq!(run(&chosen), expected, "split as {:?}", &self.choices[1..]);
        assert_eq!(run(&single), expected, "byte by byte");
        expected
    }
}
